// Windows over channels that lie in vectors of lanes.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"
#include "lanes/windows.hpp"

namespace netsurgery {

struct Pool : Windows {
  bool average = false;
  bool counts_padding = false;  // averages only
};

/// Layouts as for make_convolution; the halo holds -infinity for maxima, 0 for averages.
std::unique_ptr<Step> make_pool(const Kernels& kernels, const Pool& pool, int input, const Layout& input_layout,
                                int output, const Layout& output_layout);

/// The mean of each channel, (N, C) in NumPy's order.
std::unique_ptr<Step> make_global_average(const Kernels& kernels, int input, const Layout& layout, int plain);

}  // namespace netsurgery
