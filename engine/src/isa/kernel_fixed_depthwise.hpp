// Depthwise convolutions of whole numbers of 16 bits: each input becomes floats once, for all windows of a strip.
#pragma once

#include "isa/kernel_fixed.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// Half a native vector of whole numbers, as floats.
NETSURGERY_INLINE Native load_half(const std::int16_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<Native>(
      _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)))));
#elif defined(__AVX2__)
  return reinterpret_cast<Native>(
      _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(at)))));
#else
  const HalfShorts whole = *reinterpret_cast<const HalfShorts*>(at);
  return __builtin_convertvector(__builtin_convertvector(whole, NativeInts), Native);
#endif
}

/// Of some halves of native vectors of whole numbers. kTaps: of a row of the kernel; kStep: columns from window to
/// window.
template <int kTaps, int kStep, int kColumns, int kHalves>
NETSURGERY_INLINE void depthwise_sums(const FixedDepthwise& work, const std::int16_t* input, const float* weights,
                                      Native (*result)[kColumns]) {
  Native sums[kHalves][kColumns];
  for (auto& half : sums)
    for (auto& sum : half) sum = Native{};
  const std::ptrdiff_t rows = work.taps_y, row = work.input_row;
  for (std::ptrdiff_t y = 0; y < rows; ++y, input += row, weights += kTaps) {
    Native weight[kTaps];
    for (int k = 0; k < kTaps; ++k) weight[k] = weights[k] - Native{};
#pragma GCC unroll 32
    for (int x = 0; x < (kColumns - 1) * kStep + kTaps; ++x)
#pragma GCC unroll 2
      for (int half = 0; half < kHalves; ++half) {
        const Native seen = load_half(input + x * kShorts + half * (kShortsInPart / 2));
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k)
          if (x >= k && (x - k) % kStep == 0 && (x - k) / kStep < kColumns)
            sums[half][(x - k) / kStep] += weight[k] * seen;
      }
  }
  for (int half = 0; half < kHalves; ++half)
    for (int c = 0; c < kColumns; ++c) result[half][c] = sums[half][c];
}

template <int kTaps, int kStep, int kColumns>
static void fixed_depthwise(const FixedDepthwise& given) {
  constexpr int kHalves = 2 * kColumns + kTaps + 2 <= kRegisters ? 2 : 1;  // whose sums stay in registers
  const FixedDepthwise work = given;
  const std::int16_t* input = work.input;
  std::int16_t* output = work.output;
  const float* weights = work.weights;
  for (std::ptrdiff_t channel = 0; channel < work.channels; ++channel) {
    const Native scale = work.finish.scale[channel] - Native{}, shift = work.finish.shift[channel] - Native{};
    for (int i = 0; i < kParts; ++i) {
      Native sums[2][kColumns];
      for (int half = 0; half < 2; half += kHalves)
        depthwise_sums<kTaps, kStep, kColumns, kHalves>(work, input + i * kShortsInPart + half * (kShortsInPart / 2),
                                                        weights, sums + half);
      for (int c = 0; c < kColumns; ++c) {
        NativeInts both[2];
        for (int half = 0; half < 2; ++half)
          both[half] = on_grid(rounded(sums[half][c] * scale) + shift, work.finish.low, work.finish.high);
        reinterpret_cast<NativeShorts*>(output + c * kShorts)[i] = narrowed_in_order(both);
      }
    }
    input += work.input_channel;
    output += work.output_channel;
    weights += work.taps_y * kTaps;
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
