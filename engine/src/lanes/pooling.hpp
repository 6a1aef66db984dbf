// Windows over channels that lie in vectors of lanes.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

struct Pool {
  bool average = false;
  bool counts_padding = false;  // averages only
  Size kernel_y = 1, kernel_x = 1, stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1;
  Size pad_above = 0, pad_below = 0, pad_left = 0, pad_right = 0;

  Size reach_y() const { return (kernel_y - 1) * dilation_y + 1; }
  Size reach_x() const { return (kernel_x - 1) * dilation_x + 1; }
};

/// Layouts as for make_convolution; the halo holds -infinity for maxima, 0 for averages.
std::unique_ptr<Step> make_pool(const Kernels& kernels, const Pool& pool, int input, const Layout& input_layout,
                                int output, const Layout& output_layout);

/// The mean of each channel, (N, C) in NumPy's order.
std::unique_ptr<Step> make_global_average(const Kernels& kernels, int input, const Layout& layout, int plain);

}  // namespace netsurgery
