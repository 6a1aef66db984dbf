// Windows along one spatial axis, as convolution and pooling have them.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "plain/parts.hpp"

namespace netsurgery::plain {

/// Window number o sees, at its place k, entry o * stride + k * dilation - before of `in` ones, if that exists.
struct WindowAxis {
  Size in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;

  WindowAxis() = default;
  WindowAxis(Size in, Size out, Size kernel, Size stride, Size dilation, Size before, Size after)
      : in(in), out(out), kernel(kernel), stride(stride), dilation(dilation), before(before), after(after) {}

  bool is_copied() const { return kernel == 1 && stride == 1 && before == 0 && out == in; }
  Size entry(Size window, Size place) const { return window * stride + place * dilation - before; }
  /// The windows that see an entry at this place of theirs: first .. last - 1.
  Size first_window(Size place) const { return std::min(out, from_zero(before - place * dilation, stride)); }
  Size last_window(Size place) const { return std::min(out, from_zero(in + before - place * dilation, stride)); }
  /// The places at which a window sees entries low .. high - 1 (of x, or with its padding): first .. last - 1.
  Size first_place(Size window, Size low = 0) const {
    return std::min(kernel, from_zero(low + before - window * stride, dilation));
  }
  Size last_place(Size window, Size high) const {
    return std::min(kernel, from_zero(high + before - window * stride, dilation));
  }
  Size last_place(Size window) const { return last_place(window, in); }

 private:
  /// The first number i >= 0 with i * step >= least.
  static Size from_zero(Size least, Size step) { return least <= 0 ? 0 : quotient_up(least, step); }
};

/// Three spatial axes from the one to three that there are; those that are only copied are joined with the one before.
using WindowAxes = std::array<WindowAxis, 3>;

inline WindowAxes window_axes(const Shape& x, const Shape& kernel, const Shape& output, const Attributes& attributes) {
  const std::size_t count = x.size() - 2;
  const std::vector<Size> strides = attributes.filled(AttributeName::kStrides, count, 1);
  const std::vector<Size> dilations = attributes.filled(AttributeName::kDilations, count, 1);
  const std::vector<Size> pads = attributes.filled(AttributeName::kPads, 2 * count, 0);
  std::vector<WindowAxis> given;
  for (std::size_t axis = 0; axis < count; ++axis) {
    const WindowAxis next{x[2 + axis],     output[2 + axis], kernel[axis],      strides[axis],
                          dilations[axis], pads[axis],       pads[count + axis]};
    if (!given.empty() && given.back().is_copied() && next.is_copied()) {
      given.back().in *= next.in;
      given.back().out *= next.out;
    } else {
      given.push_back(next);
    }
  }
  WindowAxes axes;
  std::copy(given.begin(), given.end(), axes.end() - static_cast<std::ptrdiff_t>(given.size()));
  return axes;
}

/// A place of the kernel, and the windows that see an entry there: first .. last - 1.
struct Place {
  Size place, first, last;
};

/// The places where any window sees an entry. Most may see padding alone: a kernel can be longer than what it slides
/// on.
inline std::vector<Place> live_places(const WindowAxis& axis) {
  std::vector<Size> live;
  for (Size window = 0; window < axis.out; ++window)
    for (Size place = axis.first_place(window); place < axis.last_place(window); ++place) live.push_back(place);
  std::sort(live.begin(), live.end());
  live.erase(std::unique(live.begin(), live.end()), live.end());
  std::vector<Place> result;
  for (const Size place : live) result.push_back({place, axis.first_window(place), axis.last_window(place)});
  return result;
}

}  // namespace netsurgery::plain
