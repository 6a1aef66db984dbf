#include "lanes/windows.hpp"

#include <array>

namespace netsurgery {

Windows Windows::of(const Attributes& attributes, const Size* kernel, std::size_t axes) {
  const std::vector<Size> strides = attributes.filled(AttributeName::kStrides, axes, 1);
  const std::vector<Size> dilations = attributes.filled(AttributeName::kDilations, axes, 1);
  const std::vector<Size> pads = attributes.filled(AttributeName::kPads, 2 * axes, 0);
  Windows windows;
  struct Axis {
    Size *kernel, *stride, *dilation, *before, *after;
  };
  const std::array<Axis, 3> all = {{
      {&windows.kernel_z, &windows.stride_z, &windows.dilation_z, &windows.pad_front, &windows.pad_back},
      {&windows.kernel_y, &windows.stride_y, &windows.dilation_y, &windows.pad_above, &windows.pad_below},
      {&windows.kernel_x, &windows.stride_x, &windows.dilation_x, &windows.pad_left, &windows.pad_right},
  }};
  for (std::size_t i = 0; i < axes; ++i) {
    const Axis& axis = all[all.size() - axes + i];
    *axis.kernel = kernel[i];
    *axis.stride = strides[i];
    *axis.dilation = dilations[i];
    *axis.before = pads[i];
    *axis.after = pads[axes + i];
  }
  return windows;
}

Halo Windows::around(const Tiling& input, const Tiling& output) const {
  Halo halo;
  halo.front = pad_front;
  halo.above = pad_above;
  halo.left = pad_left;
  halo.back = std::max<Size>(0, (output.depth - 1) * stride_z + reach_z() - halo.front - input.depth);
  halo.below = std::max<Size>(0, (output.height - 1) * stride_y + reach_y() - halo.above - input.height);
  halo.right = std::max<Size>(0, (output.width - 1) * stride_x + reach_x() - halo.left - input.width);
  return halo;
}

}  // namespace netsurgery
