// Depthwise convolutions: each input channel is seen by its own outputs alone. The step dresses each channel with what
// lies around its tiles right before it is seen, if that isn't there already.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"
#include "lanes/movement.hpp"

namespace netsurgery {

/// True if there are kernels for it, `output` being how its output lies.
bool is_depthwise(const Convolution& convolution, const Layout& output);
/// True if channels are best copied for their windows. Else their halo is filled where they lie: copying would cost
/// more, as they are large, or as windows share little of them.
bool is_copied(const Convolution& convolution, const Tiling& input, const Tiling& output);
/// Cycles of one core, roughly.
double depthwise_convolution_cycles(const Convolution& convolution, const Layout& output);

/// Where the halo is filled, nothing else may lie among the input's channels that other pieces or steps read meanwhile,
/// as what is added.
std::unique_ptr<Step> make_depthwise_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                                 const Layout& input_layout, int output, const Layout& output_layout,
                                                 const Ending& ending, Dressing dressing, int threads);

}  // namespace netsurgery
