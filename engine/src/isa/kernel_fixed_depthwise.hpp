// Depthwise convolutions of whole numbers of 16 bits: each input becomes floats once, for all windows of a strip.
#pragma once

#include "isa/kernel_fixed.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// Of half a native vector of whole numbers. kTaps: of a row of the kernel; kStep: columns from window to window.
template <int kTaps, int kStep, int kColumns>
NETSURGERY_INLINE void depthwise_sums(const FixedDepthwise& work, const std::int16_t* input, const float* weights,
                                      Native (&sums)[kColumns]) {
  for (auto& sum : sums) sum = Native{};
  for (std::ptrdiff_t y = 0; y < work.taps_y; ++y, input += work.input_row, weights += kTaps) {
    Native weight[kTaps];
    for (int k = 0; k < kTaps; ++k) weight[k] = weights[k] - Native{};
#pragma GCC unroll 32
    for (int x = 0; x < (kColumns - 1) * kStep + kTaps; ++x) {
      const HalfShorts whole = *reinterpret_cast<const HalfShorts*>(input + x * kShorts);
      const Native seen = __builtin_convertvector(__builtin_convertvector(whole, NativeInts), Native);
#pragma GCC unroll 8
      for (int k = 0; k < kTaps; ++k)
        if (x >= k && (x - k) % kStep == 0 && (x - k) / kStep < kColumns) sums[(x - k) / kStep] += weight[k] * seen;
    }
  }
}

template <int kTaps, int kStep, int kColumns>
static void fixed_depthwise(const FixedDepthwise& given) {
  const FixedDepthwise work = given;
  const std::int16_t* input = work.input;
  std::int16_t* output = work.output;
  const float* weights = work.weights;
  for (std::ptrdiff_t channel = 0; channel < work.channels; ++channel) {
    const Native scale = work.finish.scale[channel] - Native{}, shift = work.finish.shift[channel] - Native{};
    for (int i = 0; i < kParts; ++i) {
      Native sums[2][kColumns];
      for (int half = 0; half < 2; ++half)
        depthwise_sums<kTaps, kStep>(work, input + i * kShortsInPart + half * kShortsInPart / 2, weights, sums[half]);
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
