// Mean over any axes, summed in double.
#include "isa/runs.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"

namespace netsurgery::plain {
namespace {

/// x as axes that stay and axes that are summed over, neighbours of a kind joined.
struct Sorted {
  Shape kept, summed;
  std::vector<Size> kept_strides, summed_strides;
  bool last_is_summed = false;

  Sorted(const Shape& x, const std::vector<Size>& axes) {
    std::vector<bool> is_summed(x.size(), false);
    for (const Size axis : axes) is_summed[static_cast<std::size_t>(axis)] = true;
    const std::vector<Size> strides = contiguous_strides(x);
    for (std::size_t axis = 0; axis < x.size(); ++axis) {
      (is_summed[axis] ? summed : kept).push_back(x[axis]);
      (is_summed[axis] ? summed_strides : kept_strides).push_back(strides[axis]);
    }
    join_axes(kept, {&kept_strides});
    join_axes(summed, {&summed_strides});
    last_is_summed = !summed.empty() && summed_strides.back() == 1;
  }
};

/// Means of neighbours: the last axis is summed over.
class MeanOfRuns final : public PlainKernel {
 public:
  explicit MeanOfRuns(Sorted axes)
      : axes_(std::move(axes)),
        run_(axes_.summed.back()),
        results_(entries(axes_.kept)),
        count_(entries(axes_.summed)),
        parts_(results_, 1, quotient_up(kPieceEntries, count_)) {
    axes_.summed.pop_back();
    axes_.summed_strides.pop_back();
    runs_ = entries(axes_.summed);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return results_ * count_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size result, Size, Size) {
      const float* x = inputs[0] + place_of(result, axes_.kept, axes_.kept_strides);
      double sum = 0;
      for (Size i = 0; i < runs_; ++i) sum += sum_of(x + place_of(i, axes_.summed, axes_.summed_strides), run_);
      output[result] = static_cast<float>(sum / static_cast<double>(count_));
    });
  }

 private:
  Sorted axes_;
  Size run_, results_, count_, runs_;
  Parts parts_;
};

/// Rows of means: the last axis stays.
class MeanOfRows final : public PlainKernel {
 public:
  explicit MeanOfRows(Sorted axes) : axes_(std::move(axes)), count_(entries(axes_.summed)), parts_(1, 1) {
    if (!axes_.kept.empty()) {
      length_ = axes_.kept.back();
      axes_.kept.pop_back();
      axes_.kept_strides.pop_back();
    }
    rows_ = entries(axes_.kept);
    parts_ = Parts(rows_, length_, std::clamp<Size>(4 * kPieceEntries / count_, 64, 2048));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return 2 * parts_.longest(); }
  Size cost() const override { return rows_ * length_ * count_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    double* __restrict sums = reinterpret_cast<double*>(scratch);
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const float* x = inputs[0] + place_of(row, axes_.kept, axes_.kept_strides) + from;
      const Size width = to - from;
      std::fill_n(sums, width, 0.0);
      for (Size i = 0; i < count_; ++i) {
        const float* __restrict term = x + place_of(i, axes_.summed, axes_.summed_strides);
        for (Size k = 0; k < width; ++k) sums[k] += static_cast<double>(term[k]);
      }
      float* __restrict y = output + row * length_ + from;
      const auto count = static_cast<double>(count_);
      for (Size k = 0; k < width; ++k) y[k] = static_cast<float>(sums[k] / count);
    });
  }

 private:
  Sorted axes_;
  Size count_, rows_, length_ = 1;
  Parts parts_;
};

}  // namespace

Kernel make_mean(const Making& making) {
  Sorted axes(making.operands[0], making.attributes().integers(AttributeName::kAxes));
  if (axes.last_is_summed) return std::make_unique<MeanOfRuns>(std::move(axes));
  return std::make_unique<MeanOfRows>(std::move(axes));
}

}  // namespace netsurgery::plain
