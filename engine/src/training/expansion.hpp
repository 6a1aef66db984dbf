// Filters as sums of binary planes while a network trains; netsurgery.methods.expansion says what is computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace netsurgery {

/// The filters of one layer: rows of `entries` weights, one after another.
struct Filters {
  float* weights;       // [filters][entries]; become the sums of planes
  float* latent;        // [filters][entries]; become what the weights were
  float* scales;        // [filters][planes]; become >= 0 and falling
  std::uint8_t* codes;  // [filters][entries]; bit j becomes 1 where plane j is +1
  std::ptrdiff_t filters, entries;
  int planes;  // 1 .. kMostPlanes
};

/// Expands all filters of some layers, which share no memory. A filter with NaN or infinity has scales of NaN or
/// infinity then. threads >= 1; the result doesn't depend on it.
void expand(const std::vector<Filters>& layers, bool refined, int threads);

}  // namespace netsurgery
