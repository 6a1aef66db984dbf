// Local response normalisation across channels, with the exponent that every network of its time has: 3/4.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

NETSURGERY_INLINE Vector square_root(const Vector& x) {
  alignas(64) float lanes[kLanes];
  store(lanes, x);
  for (int l = 0; l < kLanes; ++l) lanes[l] = __builtin_sqrtf(lanes[l]);
  return load(lanes);
}

static void normalise(const NormalisedRow& given) {
  const NormalisedRow row = given;
  const Vector share = broadcast(row.share), bias = broadcast(row.bias);
  for (std::ptrdiff_t c = 0; c < row.channels; ++c) {
    const std::ptrdiff_t first = c < row.before ? 0 : c - row.before;
    const std::ptrdiff_t last = c + row.after < row.channels ? c + row.after : row.channels - 1;
    for (std::ptrdiff_t i = 0; i < row.channel; i += kLanes) {
      Vector squares = broadcast(0.0f);
      for (std::ptrdiff_t other = first; other <= last; ++other) {
        const Vector x = load(row.input + other * row.channel + i);
        squares = multiply_add(x, x, squares);
      }
      const Vector half = square_root(multiply_add(share, squares, bias));
      const Vector scale = half * square_root(half);  // to the power of 1/2 and 1/4
      const Vector x = load(row.input + c * row.channel + i);
      Vector result;
      for (int p = 0; p < kParts; ++p) result.part[p] = x.part[p] / scale.part[p];
      store(row.output + c * row.channel + i, result);
    }
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
