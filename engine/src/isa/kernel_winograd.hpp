// Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015): of a block of
// 2 x 2 outputs, which see 4 x 4 inputs, 16 products do what 36 did. Products are dense panels (kernel_panels.hpp);
// here is what becomes of inputs before, and of sums behind.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// B^T d B of each input's 4 x 4 vectors.
static void winograd_inputs(const WinogradInputs& given) {
  const WinogradInputs inputs = given;
  constexpr int kNativeLanes = kLanes / kParts;
  for (std::ptrdiff_t i = 0; i < inputs.inputs; ++i) {
    const float* input =
        reinterpret_cast<const float*>(reinterpret_cast<const char*>(inputs.input) + inputs.offsets[i]);
    for (int p = 0; p < kParts; ++p) {
      const float* const from = input + p * kNativeLanes;
      float* to = inputs.panel + i * inputs.step + p * kNativeLanes;
      const auto seen = [&](int y, int x) -> Native {
        const std::ptrdiff_t column = x == 3 ? inputs.last_column : x * kLanes;
        return *reinterpret_cast<const AlignedNative*>(from + inputs.rows[y] + column);
      };
      const auto put = [&](Native value) {
        *reinterpret_cast<AlignedNative*>(to) = value;
        to += inputs.position;
      };
      const auto put_row = [&](Native a, Native b, Native c, Native d) {
        put(a - c);
        put(b + c);
        put(c - b);
        put(b - d);
      };
      put_row(seen(0, 0) - seen(2, 0), seen(0, 1) - seen(2, 1), seen(0, 2) - seen(2, 2), seen(0, 3) - seen(2, 3));
      put_row(seen(1, 0) + seen(2, 0), seen(1, 1) + seen(2, 1), seen(1, 2) + seen(2, 2), seen(1, 3) + seen(2, 3));
      put_row(seen(2, 0) - seen(1, 0), seen(2, 1) - seen(1, 1), seen(2, 2) - seen(1, 2), seen(2, 3) - seen(1, 3));
      put_row(seen(1, 0) - seen(3, 0), seen(1, 1) - seen(3, 1), seen(1, 2) - seen(3, 2), seen(1, 3) - seen(3, 3));
    }
  }
}

/// A^T m A of each channel's sums, and what finishes those.
static bool winograd_outputs(const WinogradSums& given) {
  const WinogradSums work = given;
  constexpr int kNativeLanes = kLanes / kParts;
  const Native low = work.finish.low - Native{}, high = work.finish.high - Native{};
  Native doubt{};  // NaN once a sum isn't finite
  for (std::ptrdiff_t c = 0; c < work.channels; ++c) {
    const Native bias = work.bias[c] - Native{};
    for (int p = 0; p < kParts; ++p) {
      const float* const sums = work.sums + c * work.channel + p * kNativeLanes;
      const auto sum = [&](int y, int x) -> Native {
        return *reinterpret_cast<const AlignedNative*>(sums + (4 * y + x) * kLanes);
      };
      Native made[2][2];
      Native rows[2][4];
#pragma GCC unroll 4
      for (int x = 0; x < 4; ++x) {
        const Native one = sum(1, x), two = sum(2, x);
        rows[0][x] = sum(0, x) + (one + two);
        rows[1][x] = (one - two) - sum(3, x);
      }
#pragma GCC unroll 2
      for (int y = 0; y < 2; ++y) {
        made[y][0] = rows[y][0] + (rows[y][1] + rows[y][2]) + bias;
        made[y][1] = (rows[y][1] - rows[y][2]) - rows[y][3] + bias;
      }
#pragma GCC unroll 4
      for (int o = 0; o < 4; ++o) {
        Native value = made[o / 2][o % 2];
        doubt = value * Native{} + doubt;
        if (work.places[o] < 0) continue;
        if (work.finish.residual)
          value =
              value + *reinterpret_cast<const AlignedNative*>(work.finish.residual + c * work.finish.residual_channel +
                                                              work.residual_places[o] + p * kNativeLanes);
        if (work.finish.clips) value = at_most(high, at_least(low, value));
        *reinterpret_cast<AlignedNative*>(work.output + c * work.output_channel + work.places[o] + p * kNativeLanes) =
            value;
      }
    }
  }
  bool finite = true;
  for (int l = 0; l < kNativeLanes; ++l) finite = finite && doubt[l] == doubt[l];
  return finite;
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
