// Softmax and LogSoftmax along any axis: x less its largest value, so that nothing overflows; sums in double.
#include <algorithm>

#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

/// Along the last axis.
class OfRows final : public PlainKernel {
 public:
  using Row = void (*)(const float*, float*, std::ptrdiff_t);

  OfRows(Size rows, Size length, Row of_row)
      : length_(length),
        cost_(rows * length * 16),
        parts_(rows, 1, quotient_up(kPieceEntries / 8, length)),
        of_row_(of_row) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end,
                [&](Size row, Size, Size) { of_row_(inputs[0] + row * length_, output + row * length_, length_); });
  }

 private:
  Size length_, cost_;
  Parts parts_;
  Row of_row_;
};

/// Along another axis: `width` such columns are worked on side by side.
class OfColumns final : public PlainKernel {
 public:
  OfColumns(Size outer, Size length, Size inner, bool logarithm, const Kernels& kernels)
      : length_(length),
        inner_(inner),
        cost_(outer * length * inner * 16),
        parts_(outer, inner, std::clamp<Size>(kPieceEntries / 8 / length, 16, 256)),
        logarithm_(logarithm),
        of_columns_(kernels.softmax_columns) {}
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return 3 * parts_.longest(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    SoftmaxColumns work{};
    work.rows = length_;
    work.row = inner_;
    work.logarithm = logarithm_;
    work.totals = reinterpret_cast<double*>(scratch);
    work.largest = scratch + 2 * parts_.longest();
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      work.input = inputs[0] + row * length_ * inner_ + from;
      work.output = output + row * length_ * inner_ + from;
      work.columns = to - from;
      of_columns_(work);
    });
  }

 private:
  Size length_, inner_, cost_;
  Parts parts_;
  bool logarithm_;
  void (*of_columns_)(const SoftmaxColumns&);
};

Kernel softmax(const Making& making) {
  const Shape& x = making.operands[0];
  const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
  const Size outer = entries(x, 0, axis), inner = entries(x, axis + 1, x.size());
  const bool logarithm = making.node.op == Operator::kLogSoftmax;
  if (inner == 1)
    return std::make_unique<OfRows>(outer, x[axis],
                                    logarithm ? making.kernels.log_softmax_row : making.kernels.softmax_row);
  return std::make_unique<OfColumns>(outer, x[axis], inner, logarithm, making.kernels);
}

}  // namespace

Kernel make_softmax(const Making& making) { return softmax(making); }

Kernel make_log_softmax(const Making& making) { return softmax(making); }

}  // namespace netsurgery::plain
