// Dense convolution of 3 x 3 windows by Winograd's F(2 x 2, 3 x 3): 16 products for four outputs, not 36.
#pragma once

#include <memory>

#include "lanes/convolution.hpp"

namespace netsurgery {

/// As make_convolution, for layouts as that has them; lanes beyond the picture have to be cleared. The graph has to
/// outlive the step.
std::unique_ptr<Step> make_winograd_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                                const Layout& input_layout, int output, const Layout& output_layout,
                                                const Ending& ending, int threads);

/// Cycles of one core, roughly; infinite where windows or weights are others.
double winograd_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output);

}  // namespace netsurgery
