// Depthwise convolutions of whole numbers of 16 bits, with weights of any kind.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/fixed_point.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// True if there is a kernel: pictures, of each channel one output, and windows that are narrow enough.
bool is_fixed_depthwise(const Convolution& convolution, const Image& input);

/// Cycles of one core, roughly.
double fixed_depthwise_cycles(const Convolution& convolution, const Layout& output);

/// A bias is part of the ending, which has no residual.
std::unique_ptr<Step> make_fixed_depthwise(const Kernels& kernels, const Convolution& convolution, int input,
                                           const Layout& input_layout, int output, const Layout& output_layout,
                                           const FixedEnding& ending);

}  // namespace netsurgery
