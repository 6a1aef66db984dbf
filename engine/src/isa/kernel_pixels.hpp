// Pixels out of their lanes and back: for pictures so small that many lanes stand for nothing.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"
#include "isa/transposition.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// Writes whole vectors; what lies behind the last pixel is written over by the next one's.
NETSURGERY_INLINE void put_pixels(const float* input, const PixelLanes& lanes, float* target) {
#if defined(__AVX512F__)
  _mm512_storeu_ps(target, _mm512_permutexvar_ps(_mm512_load_si512(lanes.lane), _mm512_load_ps(input)));
#elif defined(__AVX2__)
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    const __m256i lane = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes.lane + lanes.half[half]));
    _mm256_storeu_ps(target + lanes.half[half], _mm256_permutevar8x32_ps(_mm256_load_ps(input + 8 * half), lane));
  }
#else
  for (int i = 0; i < lanes.count; ++i) target[i] = input[lanes.lane[i]];
#endif
}

static void pack_pixels(const PixelInputs& given) {
  const PixelInputs inputs = given;
  float* panel = inputs.panel;
  for (std::ptrdiff_t i = 0; i < inputs.inputs; ++i, panel += inputs.pixels) {
    const float* input =
        reinterpret_cast<const float*>(reinterpret_cast<const char*>(inputs.input) + inputs.offsets[i]);
    for (std::ptrdiff_t v = 0; v < inputs.count; ++v)
      put_pixels(input + inputs.vectors[v].place, inputs.vectors[v], panel + inputs.vectors[v].first);
  }
}

static void finish_pixels(const PixelSums& given) {
  const PixelSums sums = given;
  const Vector low = broadcast(sums.finish.low), high = broadcast(sums.finish.high);
  for (std::ptrdiff_t v = 0; v < sums.count; ++v) {
    const PixelLanes& lanes = sums.vectors[v];
    for (std::ptrdiff_t first = 0; first < sums.channels; first += kLanes) {
      const float* rows[kLanes];
      for (int l = 0; l < kLanes; ++l) {  // a lane without a pixel may hold anything
        const std::int32_t pixel = lanes.pixel[l] < 0 ? 0 : lanes.pixel[l];
        rows[l] = sums.sums + pixel * sums.row + first;
      }
      Vector columns[kLanes];
      transposed(rows, columns);
      const std::ptrdiff_t left = sums.channels - first < kLanes ? sums.channels - first : kLanes;
      for (std::ptrdiff_t c = 0; c < left; ++c) {
        const std::ptrdiff_t channel = first + c;
        Vector sum = columns[c] + broadcast(sums.bias[channel]);
        if (sums.finish.residual)
          sum = sum + load(sums.finish.residual + channel * sums.finish.residual_channel + sums.residual_places[v]);
        if (sums.finish.clips) sum = at_most(high, at_least(low, sum));
        store(sums.output + channel * sums.output_channel + lanes.place, sum);
      }
    }
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
