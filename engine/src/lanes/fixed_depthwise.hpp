// Depthwise convolutions of whole numbers of 16 bits, with weights of any kind.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/fixed_point.hpp"
#include "lanes/layout.hpp"
#include "lanes/surroundings.hpp"

namespace netsurgery {

/// True if there is a kernel: pictures, of each channel one output, and windows that are narrow enough.
bool is_fixed_depthwise(const Convolution& convolution, const Image& input);

/// Cycles of one core, roughly. in_shorts: sums stay within 16 bits.
double fixed_depthwise_cycles(const Convolution& convolution, const Layout& output, bool in_shorts);

/// A bias is part of the ending, which has no residual. inputs: at most kLargestShort. around: what lies around the
/// tiles of some channels is filled right before these are read; without it, it has been.
std::unique_ptr<Step> make_fixed_depthwise(const Kernels& kernels, const Convolution& convolution,
                                           const FixedLimits& inputs, int input, const Layout& input_layout, int output,
                                           const Layout& output_layout, const FixedEnding& ending,
                                           std::unique_ptr<const Surroundings> around = nullptr, int threads = 1);

}  // namespace netsurgery
