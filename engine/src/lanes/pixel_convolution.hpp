// Dense convolution with output channels side by side: for pictures so small that many lanes of their vectors are no
// pixels.
#pragma once

#include <memory>

#include "lanes/convolution.hpp"

namespace netsurgery {

/// As make_convolution, for layouts as that has them.
std::unique_ptr<Step> make_pixel_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                             const Layout& input_layout, int output, const Layout& output_layout,
                                             const Ending& ending, int threads);

/// Cycles of one core, roughly; infinite where the picture is too large.
double pixel_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output);

}  // namespace netsurgery
