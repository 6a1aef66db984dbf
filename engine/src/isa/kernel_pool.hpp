// Windows over one channel: their maxima or averages.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

template <int kColumns, bool kAverage>
NETSURGERY_INLINE void pool_strip(const PoolRow& row, const float* input, float* output, const float* divisors) {
  Vector best[kColumns];
  for (int c = 0; c < kColumns; ++c) best[c] = load(input + c * row.input_column);
  for (std::ptrdiff_t y = 0; y < row.taps_y; ++y)
    for (std::ptrdiff_t x = y == 0 ? 1 : 0; x < row.taps_x; ++x) {
      const float* tap = input + y * row.tap_row + x * row.tap_column;
      for (int c = 0; c < kColumns; ++c) {
        const Vector seen = load(tap + c * row.input_column);
        best[c] = kAverage ? best[c] + seen : maximum(best[c], seen);
      }
    }
  for (int c = 0; c < kColumns; ++c) {
    if (kAverage) {
      const Vector divisor = load(divisors + c * kLanes);
      for (int i = 0; i < kParts; ++i) best[c].part[i] = best[c].part[i] / divisor.part[i];
    }
    store(output + c * kLanes, best[c]);
  }
}

template <bool kAverage>
NETSURGERY_INLINE void pool_columns(const PoolRow& row) {
  std::ptrdiff_t column = 0;
  const auto at = [&](std::ptrdiff_t c) { return row.input + c * row.input_column; };
  const auto divisors = [&](std::ptrdiff_t c) { return kAverage ? row.divisors + c * kLanes : nullptr; };
  for (; column + 4 <= row.columns; column += 4)
    pool_strip<4, kAverage>(row, at(column), row.output + column * kLanes, divisors(column));
  for (; column < row.columns; ++column)
    pool_strip<1, kAverage>(row, at(column), row.output + column * kLanes, divisors(column));
}

static void pool_row(const PoolRow& given) {
  const PoolRow row = given;
  if (row.divisors)
    pool_columns<true>(row);
  else
    pool_columns<false>(row);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
