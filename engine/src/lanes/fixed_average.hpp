// Averages of whole numbers of 16 bits.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// True if sums over a picture stay within 32 bits.
bool has_fixed_average(const Image& image);

/// The mean of each channel, times `unit`, (N, C) as floats in NumPy's order.
std::unique_ptr<Step> make_fixed_average(const Kernels& kernels, int input, const Layout& layout, double unit,
                                         int plain);

}  // namespace netsurgery
