// Normalisation across the channels of a value in vectors of lanes.
#pragma once

#include <memory>

#include "lanes/entries.hpp"

namespace netsurgery {

/// Input and output have the same halo. `row`: what is the same for all rows; the rest is filled in.
std::unique_ptr<Step> make_normalisation(const Kernels& kernels, const NormalisedRow& row, const Lying& input,
                                         const Lying& output);

}  // namespace netsurgery
