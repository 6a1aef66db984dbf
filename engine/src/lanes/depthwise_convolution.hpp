// Depthwise convolutions: each input channel is seen by its own outputs alone. The step dresses each channel with what
// lies around its tiles right before it is seen: in memory of its own, or where the channel lies.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// True if there are kernels for it, `output` being how its output lies.
bool is_depthwise(const Convolution& convolution, const Layout& output);
/// True if the step fills the halo that its windows see: where copying a channel would cost more, as it is large, or
/// windows share little of it. Else it needs none.
bool fills_halo(const Convolution& convolution, const Tiling& input, const Tiling& output, const Ending& ending);
/// Cycles of one core, roughly.
double depthwise_convolution_cycles(const Convolution& convolution, const Layout& output);

std::unique_ptr<Step> make_depthwise_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                                 const Layout& input_layout, int output, const Layout& output_layout,
                                                 const Ending& ending, int threads);

}  // namespace netsurgery
