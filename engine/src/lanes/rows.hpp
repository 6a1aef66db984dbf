// Fully connected layers on a few rows in NumPy's order: the weights, which are read once, decide.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"

namespace netsurgery {

/// x (rows, I) in buffer `input` times the transpose of a weight (O, I), plus bias, clipped; to buffer `output`.
std::unique_ptr<Step> make_rows(const Kernels& kernels, const Constant& weight, const Constant* bias, Size rows,
                                int input, int output, const Ending& ending, int threads);
/// True if all weights, the zeros too, take less time than those other than zero.
bool prefers_dense_rows(const Constant& weight);
double rows_cycles(const Constant& weight, Size rows);

}  // namespace netsurgery
