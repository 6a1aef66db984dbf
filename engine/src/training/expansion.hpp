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

/// Makes the weights the sums of the planes that there are; latent weights may be the weights themselves, and are left.
void sum(const std::vector<Filters>& layers, int threads);

/// Makes those weights latent that aren't the sums of their planes. One bool for each layer: true if there were any.
std::vector<bool> adopt(const std::vector<Filters>& layers, int threads);

}  // namespace netsurgery
