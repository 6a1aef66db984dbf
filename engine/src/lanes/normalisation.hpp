// Normalisation across the channels of a value in vectors of lanes.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// Input and output lie alike. `row`: what is the same for all rows; the rest is filled in.
std::unique_ptr<Step> make_normalisation(const Kernels& kernels, const NormalisedRow& row, int input, int output,
                                         const Layout& layout);

}  // namespace netsurgery
