// AdaptiveAveragePool and AdaptiveMaxPool: windows floor(i S / size) .. ceil((i + 1) S / size) along each axis.
#include <array>
#include <limits>

#include "isa/runs.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

struct Split {
  Size in = 1, out = 1;
  Size begin(Size window) const { return window * in / out; }
  Size end(Size window) const { return quotient_up((window + 1) * in, out); }
};

/// Three axes from the one to three that there are. One with a single window is joined with the axis before it.
std::array<Split, 3> splits(const Shape& x, const Shape& output) {
  std::vector<Split> given;
  for (std::size_t axis = 2; axis < x.size(); ++axis) {
    if (!given.empty() && output[axis] == 1 && given.back().in % given.back().out == 0)
      given.back().in *= x[axis];
    else
      given.push_back({x[axis], output[axis]});
  }
  std::array<Split, 3> result;
  std::copy(given.begin(), given.end(), result.end() - static_cast<std::ptrdiff_t>(given.size()));
  return result;
}

/// The mean of a window, summed in double.
struct MeanOf {
  double sum = 0;
  void take(const float* x, Size count) { sum += sum_of(x, count); }
  float result(Size count) const { return static_cast<float>(sum / static_cast<double>(count)); }
};

struct LargestOf {
  float largest = -std::numeric_limits<float>::infinity();
  void take(const float* x, Size count) { largest = larger(largest, largest_of(x, count)); }
  float result(Size) const { return largest; }
};

template <class Of>
class AdaptivePool final : public PlainKernel {
 public:
  explicit AdaptivePool(const Making& making)
      : axes_(splits(making.operands[0], making.output)),
        rows_(entries(making.output) / axes_[2].out),
        cost_(std::max(entries(making.operands[0]), entries(making.output))),
        parts_(rows_, quotient_up(cost_, rows_), std::max(kPieceEntries, quotient_up(cost_, rows_))) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size, Size) {
      const auto& [depth, height, width] = axes_;
      const Size down = row % height.out, far = row / height.out % depth.out;
      const float* x = inputs[0] + row / (height.out * depth.out) * depth.in * height.in * width.in;
      const Size z_begin = depth.begin(far), z_end = depth.end(far);
      const Size y_begin = height.begin(down), y_end = height.end(down);
      for (Size i = 0; i < width.out; ++i) {
        const Size from = width.begin(i), count = width.end(i) - from;
        Of of;
        for (Size z = z_begin; z < z_end; ++z)
          for (Size y = y_begin; y < y_end; ++y) of.take(x + (z * height.in + y) * width.in + from, count);
        output[row * width.out + i] = of.result((z_end - z_begin) * (y_end - y_begin) * count);
      }
    });
  }

 private:
  std::array<Split, 3> axes_;
  Size rows_, cost_;
  Parts parts_;
};

Kernel adaptive_pool(const Making& making) {
  if (making.node.op == Operator::kAdaptiveMaxPool) return std::make_unique<AdaptivePool<LargestOf>>(making);
  return std::make_unique<AdaptivePool<MeanOf>>(making);
}

}  // namespace

Kernel make_adaptive_average_pool(const Making& making) { return adaptive_pool(making); }

Kernel make_adaptive_max_pool(const Making& making) { return adaptive_pool(making); }

}  // namespace netsurgery::plain
