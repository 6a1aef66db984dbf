// One number of all entries along any axes: sums, means, products, largest and smallest entries, in double.
#include <cmath>
#include <limits>

#include "isa/runs.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"

namespace netsurgery::plain {
namespace {

/// with(so far, entry), joined(one part, another), result(all, their number).
struct Sum {
  static constexpr double kNothing = 0.0;
  static double with(double total, float x) { return total + static_cast<double>(x); }
  static double joined(double a, double b) { return a + b; }
  static double result(double total, double) { return total; }
};

struct Mean : Sum {
  static double result(double total, double count) { return total / count; }
};

struct SumSquare : Sum {
  static double with(double total, float x) { return total + static_cast<double>(x) * static_cast<double>(x); }
};

struct Norm : SumSquare {
  static double result(double total, double) { return std::sqrt(total); }
};

struct Product {
  static constexpr double kNothing = 1.0;
  static double with(double total, float x) { return total * static_cast<double>(x); }
  static double joined(double a, double b) { return a * b; }
  static double result(double total, double) { return total; }
};

struct Largest {
  static constexpr double kNothing = -std::numeric_limits<double>::infinity();
  static double joined(double a, double b) { return ((a >= b) | (a != a)) ? a : b; }
  static double with(double a, float x) { return joined(a, static_cast<double>(x)); }
  static double result(double largest, double) { return largest; }
};

struct Smallest {
  static constexpr double kNothing = std::numeric_limits<double>::infinity();
  static double joined(double a, double b) { return ((a <= b) | (a != a)) ? a : b; }
  static double with(double a, float x) { return joined(a, static_cast<double>(x)); }
  static double result(double smallest, double) { return smallest; }
};

/// Of neighbours, in several lanes, always in the same order.
template <class Of>
double of_run(const float* __restrict x, Size count) {
  double lanes[kRunLanes];
  for (double& lane : lanes) lane = Of::kNothing;
  Size i = 0;
  for (; i + kRunLanes <= count; i += kRunLanes)
    for (Size lane = 0; lane < kRunLanes; ++lane) lanes[lane] = Of::with(lanes[lane], x[i + lane]);
  double rest = Of::kNothing;
  for (; i < count; ++i) rest = Of::with(rest, x[i]);
  for (Size width = kRunLanes / 2; width > 0; width /= 2)
    for (Size lane = 0; lane < width; ++lane) lanes[lane] = Of::joined(lanes[lane], lanes[lane + width]);
  return Of::joined(lanes[0], rest);
}

/// x as axes that stay and axes that go, neighbours of a kind joined.
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

/// Of neighbours: the last axis goes.
template <class Of>
class OfRuns final : public PlainKernel {
 public:
  explicit OfRuns(Sorted axes)
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
      double total = Of::kNothing;
      for (Size i = 0; i < runs_; ++i)
        total = Of::joined(total, of_run<Of>(x + place_of(i, axes_.summed, axes_.summed_strides), run_));
      output[result] = static_cast<float>(Of::result(total, static_cast<double>(count_)));
    });
  }

 private:
  Sorted axes_;
  Size run_, results_, count_, runs_;
  Parts parts_;
};

/// Of rows: the last axis stays.
template <class Of>
class OfRows final : public PlainKernel {
 public:
  explicit OfRows(Sorted axes) : axes_(std::move(axes)), count_(entries(axes_.summed)), parts_(1, 1) {
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
    double* __restrict totals = reinterpret_cast<double*>(scratch);
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const float* x = inputs[0] + place_of(row, axes_.kept, axes_.kept_strides) + from;
      const Size width = to - from;
      std::fill_n(totals, width, Of::kNothing);
      for (Size i = 0; i < count_; ++i) {
        const float* __restrict term = x + place_of(i, axes_.summed, axes_.summed_strides);
        for (Size k = 0; k < width; ++k) totals[k] = Of::with(totals[k], term[k]);
      }
      float* __restrict y = output + row * length_ + from;
      const auto count = static_cast<double>(count_);
      for (Size k = 0; k < width; ++k) y[k] = static_cast<float>(Of::result(totals[k], count));
    });
  }

 private:
  Sorted axes_;
  Size count_, rows_, length_ = 1;
  Parts parts_;
};

template <class Of>
Kernel made(const Making& making) {
  Sorted axes(making.operands[0], making.attributes().integers(AttributeName::kAxes));
  if (axes.last_is_summed) return std::make_unique<OfRuns<Of>>(std::move(axes));
  return std::make_unique<OfRows<Of>>(std::move(axes));
}

constexpr MakerEntry kReductions[] = {
    {Operator::kMean, made<Mean>},          {Operator::kReduceSum, made<Sum>},
    {Operator::kReduceMax, made<Largest>},  {Operator::kReduceMin, made<Smallest>},
    {Operator::kReduceProd, made<Product>}, {Operator::kReduceSumSquare, made<SumSquare>},
    {Operator::kReduceL2, made<Norm>},
};
static_assert(holds_all(kReductions, [](const OperatorEntry& entry) { return entry.shape == ShapeRule::kOverAxes; }),
              "a reduction needs its way of adding up here");

}  // namespace

Kernel make_reduction(const Making& making) { return maker_in(kReductions, making.node.op)(making); }

}  // namespace netsurgery::plain
