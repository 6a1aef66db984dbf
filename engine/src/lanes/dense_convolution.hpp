// Convolution with all its weights, zeros too: the product of two packed matrices, cut so that both stay in caches.
#pragma once

#include <memory>

#include "lanes/convolution.hpp"

namespace netsurgery {

/// As make_convolution, for layouts as that has them.
std::unique_ptr<Step> make_dense_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                             const Layout& input_layout, int output, const Layout& output_layout,
                                             const Ending& ending, int threads);

/// Cycles of one core, roughly.
double dense_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output);

}  // namespace netsurgery
