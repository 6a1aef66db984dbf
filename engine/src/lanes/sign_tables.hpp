// Convolution and fully connected layers whose weights are binary planes: sums are looked up instead of multiplied.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// True if a weight is planes, and enough outputs share an input for tables to pay.
bool prefers_tables(const Constant& weight, Size groups);
double table_cycles(const Convolution& convolution, const Layout& output);

/// As make_convolution.
std::unique_ptr<Step> make_table_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                             const Layout& input_layout, int output, const Layout& output_layout,
                                             const Ending& ending, int threads);

/// As make_rows.
std::unique_ptr<Step> make_table_rows(const Kernels& kernels, const Constant& weight, const Constant* bias, Size rows,
                                      int input, int output, const Ending& ending);
double table_rows_cycles(const Constant& weight, Size rows);

}  // namespace netsurgery
