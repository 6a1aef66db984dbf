// Windows that slide over a value in vectors of lanes, as convolutions and pools have them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "lanes/layout.hpp"

namespace netsurgery {

/// Along slices (z), rows (y) and columns (x); an axis that a value doesn't have is left as it is here.
struct Windows {
  Size kernel_z = 1, kernel_y = 1, kernel_x = 1;
  Size stride_z = 1, stride_y = 1, stride_x = 1;
  Size dilation_z = 1, dilation_y = 1, dilation_x = 1;
  Size pad_front = 0, pad_back = 0, pad_above = 0, pad_below = 0, pad_left = 0, pad_right = 0;

  /// Of a node on (N, C, ...), with a kernel of as many axes as there are behind C.
  static Windows of(const Attributes& attributes, const Size* kernel, std::size_t axes);

  Size taps() const { return kernel_z * kernel_y * kernel_x; }
  Size reach_z() const { return (kernel_z - 1) * dilation_z + 1; }
  Size reach_y() const { return (kernel_y - 1) * dilation_y + 1; }
  Size reach_x() const { return (kernel_x - 1) * dilation_x + 1; }
  /// Where the window of an output pixel begins, in the first channel of the input.
  Size begin(const Layout& input, Size group, Size z, Size y, Size x) const {
    return input.at(group, z * stride_z - pad_front, y * stride_y - pad_above, 0, x * stride_x - pad_left);
  }
  /// Floats from there to a tap, which are counted row by row, slice by slice.
  Size tap_offset(const Layout& input, Size tap) const {
    const Size row = tap / kernel_x;
    return row / kernel_y * dilation_z * input.slice_floats() + row % kernel_y * dilation_y * input.row_floats() +
           tap % kernel_x * dilation_x * kVector;
  }
  /// What windows see around a tile.
  Halo around(const Tiling& input, const Tiling& output) const;
  /// True if some window reaches beyond the picture.
  bool sees_outside(const Image& input, const Image& output) const {
    return pad_front || pad_above || pad_left || (output.depth - 1) * stride_z + reach_z() - pad_front > input.depth ||
           (output.height - 1) * stride_y + reach_y() - pad_above > input.height ||
           (output.width - 1) * stride_x + reach_x() - pad_left > input.width;
  }
  /// True if the only window is the whole picture.
  bool is_picture(const Image& input, const Image& output) const {
    return output.pixels() == 1 && pad_front == 0 && pad_above == 0 && pad_left == 0 && kernel_z == input.depth &&
           kernel_y == input.height && kernel_x == input.width && reach_z() == input.depth &&
           reach_y() == input.height && reach_x() == input.width;
  }
};

/// The place of so many taps among the numbers of taps that there are kernels for, or -1.
template <std::size_t kCount>
int place_of(const int (&kernels)[kCount], Size taps) {
  const auto found = std::find(std::begin(kernels), std::end(kernels), taps);
  return found == std::end(kernels) ? -1 : static_cast<int>(found - std::begin(kernels));
}

}  // namespace netsurgery
