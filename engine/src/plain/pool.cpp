// MaxPool and AveragePool: windows with strides, pads and dilations.
#include <limits>

#include "isa/runs.hpp"
#include "plain/makers.hpp"
#include "plain/windows.hpp"

namespace netsurgery::plain {
namespace {

/// Rows of windows along the last axis; each place of the kernel sees a shifted row of x.
class Pool : public PlainKernel {
 public:
  explicit Pool(const Making& making)
      : axes_(window_axes(making.operands[0], making.attributes().integers(AttributeName::kKernel), making.output,
                          making.attributes())),
        places_(live_places(axes_[2])),
        taps_(most_seen(axes_[0]) * most_seen(axes_[1]) * most_seen(axes_[2])),
        rows_(making.output[0] * making.output[1] * axes_[0].out * axes_[1].out),
        parts_(rows_, axes_[2].out * taps_, std::max(kPieceEntries, axes_[2].out * taps_)) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return rows_ * axes_[2].out * taps_; }

 protected:
  /// visit(row of x) for what the windows of `row` see of the first two axes.
  template <class Visit>
  void each_row(const float* x, Size row, Visit&& visit) const {
    const auto& [depth, height, width] = axes_;
    const Size down = row % height.out, far = row / height.out % depth.out;
    x += row / (height.out * depth.out) * depth.in * height.in * width.in;
    for (Size i = depth.first_place(far); i < depth.last_place(far); ++i)
      for (Size j = height.first_place(down); j < height.last_place(down); ++j)
        visit(x + (depth.entry(far, i) * height.in + height.entry(down, j)) * width.in);
  }

  /// visit(row of x, place along the last axis) for what the windows of `row` see.
  template <class Visit>
  void each_tap(const float* x, Size row, Visit&& visit) const {
    each_row(x, row, [&](const float* seen) {
      for (const Place& place : places_) visit(seen, place);
    });
  }

  /// take(window, entry of x) for every window that sees an entry there.
  template <class Take>
  void each_window(const float* __restrict x, const Place& place, Take&& take) const {
    const Size stride = axes_[2].stride, first = place.first, count = place.last - first;
    x += axes_[2].entry(first, place.place);
    if (stride == 1)
      for (Size i = 0; i < count; ++i) take(first + i, x[i]);
    else
      for (Size i = 0; i < count; ++i) take(first + i, x[i * stride]);
  }

  static Size most_seen(const WindowAxis& axis) { return std::min(axis.kernel, axis.in); }

  WindowAxes axes_;
  std::vector<Place> places_;
  Size taps_, rows_;
  Parts parts_;
};

class MaxPool final : public Pool {
 public:
  explicit MaxPool(const Making& making)
      : Pool(making), combine_(making.kernels.pairs[static_cast<int>(Pair::kLargest)]) {
    // Rows of few windows, none of which sees padding, are sooner done window by window.
    constexpr Size kFewWindows = 16;
    direct_ = axes_[0].kernel == 1 && axes_[2].out <= kFewWindows;
    for (const WindowAxis& axis : axes_)
      direct_ = direct_ && axis.first_place(0) == 0 && axis.last_place(axis.out - 1) == axis.kernel;
  }
  Size scratch() const override { return axes_[2].in; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    const Size width = axes_[2].out;
    parts_.each(begin, end, [&](Size row, Size, Size) {
      if (direct_)
        direct(inputs[0], row, output + row * width);
      else
        down_and_along(inputs[0], row, output + row * width, scratch);
    });
  }

 private:
  /// The largest of each column first, which all windows of the row share.
  void down_and_along(const float* x, Size row, float* __restrict y, float* __restrict columns) const {
    const auto& [depth, height, width] = axes_;
    std::fill_n(columns, width.in, -std::numeric_limits<float>::infinity());
    each_row(x, row, [&](const float* seen) { combine_(columns, true, seen, true, columns, width.in); });
    std::fill_n(y, width.out, -std::numeric_limits<float>::infinity());
    for (const Place& place : places_) {
      float* const first = y + place.first;
      if (width.stride == 1)
        combine_(first, true, columns + width.entry(place.first, place.place), true, first, place.last - place.first);
      else
        each_window(columns, place, [y](Size window, float entry) { y[window] = larger(y[window], entry); });
    }
  }

  void direct(const float* x, Size row, float* y) const {
    const auto& [depth, height, width] = axes_;
    const Size image = row / (height.out * depth.out), far = row / height.out % depth.out;
    x += ((image * depth.in + depth.entry(far, 0)) * height.in + height.entry(row % height.out, 0)) * width.in;
    const Size below = height.dilation * width.in;
    for (Size window = 0; window < width.out; ++window) {
      const float* seen = x + width.entry(window, 0);
      float best = *seen;
      for (Size j = 0; j < height.kernel; ++j)
        for (Size i = 0; i < width.kernel; ++i) best = larger(best, seen[j * below + i * width.dilation]);
      y[window] = best;
    }
  }

  bool direct_ = false;
  void (*combine_)(const float*, bool, const float*, bool, float*, std::ptrdiff_t);
};

/// Sums in double.
class AveragePool final : public Pool {
 public:
  explicit AveragePool(const Making& making) : Pool(making) {
    const bool with_pads = making.attributes().flag(AttributeName::kCountIncludePad);
    for (std::size_t axis = 0; axis < 3; ++axis) counts_[axis] = counts(axes_[axis], with_pads);
  }
  Size scratch() const override { return 2 * axes_[2].out; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    double* __restrict sums = reinterpret_cast<double*>(scratch);
    parts_.each(begin, end, [&](Size row, Size, Size) {
      const auto& [depth, height, width] = axes_;
      std::fill_n(sums, width.out, 0.0);
      each_tap(inputs[0], row, [&](const float* x, const Place& place) {
        each_window(x, place, [sums](Size window, float entry) { sums[window] += static_cast<double>(entry); });
      });
      const double count = counts_[0][static_cast<std::size_t>(row / height.out % depth.out)] *
                           counts_[1][static_cast<std::size_t>(row % height.out)];
      const double* __restrict along = counts_[2].data();
      float* __restrict y = output + row * width.out;
      for (Size i = 0; i < width.out; ++i) y[i] = static_cast<float>(sums[i] / (count * along[i]));
    });
  }

 private:
  /// By how much the sum of each window is divided, along one axis. What hangs over the declared pads never counts.
  static std::vector<double> counts(const WindowAxis& axis, bool with_pads) {
    const Size low = with_pads ? -axis.before : 0, high = axis.in + (with_pads ? axis.after : 0);
    std::vector<double> result;
    for (Size window = 0; window < axis.out; ++window)
      result.push_back(static_cast<double>(axis.last_place(window, high) - axis.first_place(window, low)));
    return result;
  }

  std::array<std::vector<double>, 3> counts_;
};

Kernel pool(const Making& making) {
  if (making.node.op == Operator::kMaxPool) return std::make_unique<MaxPool>(making);
  return std::make_unique<AveragePool>(making);
}

}  // namespace

Kernel make_max_pool(const Making& making) { return pool(making); }

Kernel make_average_pool(const Making& making) { return pool(making); }

}  // namespace netsurgery::plain
