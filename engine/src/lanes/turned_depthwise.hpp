// Depthwise convolutions of small pictures: some channels at a time become lanes, so that a window's neighbours lie in
// memory rather than in other lanes.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// Of convolutions that `is_depthwise` is true of, if there is no residual.
bool can_be_turned(const Convolution& convolution, const Layout& input, const Layout& output);
/// True if that can and should be.
bool is_turned(const Kernels& kernels, const Convolution& convolution, const Layout& input, const Layout& output);
/// Cycles of one core, roughly.
double turned_depthwise_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& input,
                               const Layout& output);

/// The input's halo isn't looked at.
std::unique_ptr<Step> make_turned_depthwise(const Kernels& kernels, const Convolution& convolution, int input,
                                            const Layout& input_layout, int output, const Layout& output_layout,
                                            const Ending& ending);

}  // namespace netsurgery
