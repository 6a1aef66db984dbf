// Layers of binary planes between values on grids: sign_tables.hpp with whole numbers of 16 bits.
#pragma once

#include <memory>

#include "lanes/fixed_point.hpp"

namespace netsurgery {

/// True if a weight is one plane of ±1, enough rows share an input for tables to pay, and enough tables of such inputs
/// can be added within 16 bits. `planes` rows make an output.
bool has_fixed_tables(const Constant& weight, Size groups, const FixedLimits& inputs);
/// Cycles of one core, roughly.
double fixed_table_cycles(const Convolution& convolution, const FixedLimits& inputs, Size planes, const Layout& output);

/// As make_fixed_convolution; each `planes` neighbouring rows of the weight are the planes of an output, and ending has
/// a scale for each of them.
std::unique_ptr<Step> make_fixed_tables(const Kernels& kernels, const Convolution& convolution,
                                        const FixedLimits& inputs, Size planes, int input, const Layout& input_layout,
                                        int output, const Layout& output_layout, const FixedEnding& ending,
                                        int threads);

}  // namespace netsurgery
