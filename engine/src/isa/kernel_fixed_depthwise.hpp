// Depthwise convolutions of whole numbers of 16 bits: each input is read once, for all windows of a strip, and becomes
// floats where weights aren't whole numbers, or sums too large.
#pragma once

#include "isa/kernel_fixed.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// Half a native vector of whole numbers, as floats.
NETSURGERY_INLINE Native load_half(const std::int16_t* at) {
  return __builtin_convertvector(ints_of(*reinterpret_cast<const HalfShorts*>(at)), Native);
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

/// A channel, by sums of floats.
template <int kTaps, int kStep, int kColumns>
NETSURGERY_INLINE void depthwise_in_floats(const FixedDepthwise& work, std::ptrdiff_t channel,
                                           const std::int16_t* input, std::int16_t* output) {
  constexpr int kHalves = 2 * kColumns + kTaps + 2 <= kRegisters ? 2 : 1;  // whose sums stay in registers
  const float* weights = work.weights + channel * work.taps_y * kTaps;
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
}

/// A channel whose weights are whole and whose sums stay within 16 bits.
template <int kTaps, int kStep, int kColumns>
NETSURGERY_INLINE void depthwise_in_shorts(const FixedDepthwise& work, std::ptrdiff_t channel,
                                           const std::int16_t* input, std::int16_t* output) {
  const std::ptrdiff_t rows = work.taps_y, row = work.input_row;
  for (int i = 0; i < kParts; ++i) {
    const std::int16_t* weights = work.whole + channel * rows * kTaps;
    const std::int16_t* seen_row = input + i * kShortsInPart;
    NativeShorts sums[kColumns];
    for (NativeShorts& sum : sums) sum = NativeShorts{};
    for (std::ptrdiff_t y = 0; y < rows; ++y, seen_row += row, weights += kTaps) {
      NativeShorts weight[kTaps];
      for (int k = 0; k < kTaps; ++k) weight[k] = weights[k] - NativeShorts{};
#pragma GCC unroll 32
      for (int x = 0; x < (kColumns - 1) * kStep + kTaps; ++x) {
        const NativeShorts seen = *reinterpret_cast<const NativeShorts*>(seen_row + x * kShorts);
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k)
          if (x >= k && (x - k) % kStep == 0 && (x - k) / kStep < kColumns) sums[(x - k) / kStep] += weight[k] * seen;
      }
    }
    NativeShorts* made = reinterpret_cast<NativeShorts*>(output) + i;
    if (FinishedShorts::has(work.finish, channel)) {
      const FinishedShorts finished(work.finish, channel);
      for (int c = 0; c < kColumns; ++c) made[c * kParts] = finished(sums[c]);
    } else {
      const FinishedLanes finished(work.finish, channel);
      for (int c = 0; c < kColumns; ++c) {
        NativeInts both[2];
        widened(sums[c], both);
        finished(both, nullptr, reinterpret_cast<std::int16_t*>(made + c * kParts));
      }
    }
  }
}

template <int kTaps, int kStep, int kColumns>
static void fixed_depthwise(const FixedDepthwise& given) {
  const FixedDepthwise work = given;
  const std::int16_t* input = work.input;
  std::int16_t* output = work.output;
  for (std::ptrdiff_t channel = 0; channel < work.channels; ++channel) {
    if (work.in_shorts[channel])
      depthwise_in_shorts<kTaps, kStep, kColumns>(work, channel, input, output);
    else
      depthwise_in_floats<kTaps, kStep, kColumns>(work, channel, input, output);
    input += work.input_channel;
    output += work.output_channel;
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
