// Softmax and LogSoftmax along any axis: x less its largest value, so that nothing overflows; sums in double.
#include <cmath>

#include "plain/functions.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/runs.hpp"

namespace netsurgery::plain {
namespace {

struct Softmax {
  static double total(double sum) { return 1.0 / sum; }
  /// y: the power of x.
  static float result(float, float y, float, double inverse) {
    return static_cast<float>(static_cast<double>(y) * inverse);
  }
};

struct LogSoftmax {
  static double total(double sum) { return std::log(sum); }
  static float result(float x, float, float largest, double logarithm) {
    return static_cast<float>((static_cast<double>(x) - static_cast<double>(largest)) - logarithm);
  }
};

/// Along the last axis.
template <class Of>
class OfRows final : public PlainKernel {
 public:
  OfRows(Size rows, Size length)
      : length_(length), cost_(rows * length * 16), parts_(rows, 1, quotient_up(kPieceEntries / 8, length)) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size, Size) {
      const float* __restrict x = inputs[0] + row * length_;
      float* __restrict y = output + row * length_;
      const float largest = largest_of(x, length_);
      for (Size i = 0; i < length_; ++i) y[i] = power_below(x[i], largest);
      const double total = Of::total(sum_of(y, length_));
      for (Size i = 0; i < length_; ++i) y[i] = Of::result(x[i], y[i], largest, total);
    });
  }

 private:
  Size length_, cost_;
  Parts parts_;
};

/// Along another axis: `width` such columns are worked on side by side.
template <class Of>
class OfColumns final : public PlainKernel {
 public:
  OfColumns(Size outer, Size length, Size inner)
      : length_(length),
        inner_(inner),
        cost_(outer * length * inner * 16),
        parts_(outer, inner, std::clamp<Size>(kPieceEntries / 8 / length, 16, 256)) {}
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return 3 * parts_.longest(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    double* __restrict totals = reinterpret_cast<double*>(scratch);
    float* __restrict largest = scratch + 2 * parts_.longest();
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const float* __restrict x = inputs[0] + row * length_ * inner_ + from;
      float* __restrict y = output + row * length_ * inner_ + from;
      const Size width = to - from;
      std::copy_n(x, width, largest);
      for (Size i = 1; i < length_; ++i)
        for (Size k = 0; k < width; ++k) largest[k] = larger(largest[k], x[i * inner_ + k]);
      std::fill_n(totals, width, 0.0);
      for (Size i = 0; i < length_; ++i)
        for (Size k = 0; k < width; ++k) {
          const float power = power_below(x[i * inner_ + k], largest[k]);
          y[i * inner_ + k] = power;
          totals[k] += static_cast<double>(power);
        }
      for (Size k = 0; k < width; ++k) totals[k] = Of::total(totals[k]);
      for (Size i = 0; i < length_; ++i)
        for (Size k = 0; k < width; ++k)
          y[i * inner_ + k] = Of::result(x[i * inner_ + k], y[i * inner_ + k], largest[k], totals[k]);
    });
  }

 private:
  Size length_, inner_, cost_;
  Parts parts_;
};

template <class Of>
Kernel made(const Making& making) {
  const Shape& x = making.operands[0];
  const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
  const Size outer = entries(x, 0, axis), inner = entries(x, axis + 1, x.size());
  if (inner == 1) return std::make_unique<OfRows<Of>>(outer, x[axis]);
  return std::make_unique<OfColumns<Of>>(outer, x[axis], inner);
}

}  // namespace

Kernel make_softmax(const Making& making) {
  return making.node.op == Operator::kSoftmax ? made<Softmax>(making) : made<LogSoftmax>(making);
}

}  // namespace netsurgery::plain
