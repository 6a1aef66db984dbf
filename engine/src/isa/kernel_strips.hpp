// Strips of convolution: some vectors of output stay in registers while the non-zeros stream by.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

template <int kRows, int kColumns>
struct Sums {
  Vector at[kRows][kColumns];
};

template <int kRows, int kColumns>
NETSURGERY_INLINE void begin(Sums<kRows, kColumns>& sums, const Strip& strip, const float* output,
                             std::ptrdiff_t channel) {
  if (strip.bias) {
    const Vector bias = broadcast(strip.bias[channel]);
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) sums.at[r][c] = bias;
  } else {
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) sums.at[r][c] = load(output + r * strip.output_row + c * kLanes);
  }
}

template <int kRows, int kColumns>
NETSURGERY_INLINE void end(Sums<kRows, kColumns>& sums, const Strip& strip, float* output, std::ptrdiff_t channel) {
  if (strip.last) {
    const Finish& finish = strip.finish;
    if (finish.residual) {
      const float* residual = finish.residual + channel * finish.residual_channel;
      for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < kColumns; ++c)
          sums.at[r][c] = sums.at[r][c] + load(residual + r * finish.residual_row + c * kLanes);
    }
    if (finish.clips) {
      const Vector low = broadcast(finish.low), high = broadcast(finish.high);
      for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < kColumns; ++c) sums.at[r][c] = at_most(high, at_least(low, sums.at[r][c]));
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kColumns; ++c) store(output + r * strip.output_row + c * kLanes, sums.at[r][c]);
}

/// kStep: vectors from one window to the next, 0 if only the strip knows.
template <int kRows, int kColumns, int kStep>
NETSURGERY_INLINE void add(Sums<kRows, kColumns>& sums, const Strip& strip, const float* input, const Vector& weight) {
  const std::ptrdiff_t step = kStep ? kStep * kLanes : strip.input_column;
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kColumns; ++c)
      sums.at[r][c] = multiply_add(weight, load(input + r * strip.input_row + c * step), sums.at[r][c]);
}

NETSURGERY_INLINE const float* at_offset(const float* input, std::uint32_t bytes) {
  return reinterpret_cast<const float*>(reinterpret_cast<const char*>(input) + bytes);
}

/// A sum needs as many independent chains as a multiply-add takes cycles: strips of few vectors get some more of them.
constexpr int chains(int vectors) { return vectors >= 4 ? 1 : vectors >= 2 ? 2 : 4; }

template <int kRows, int kColumns, int kStep>
static void sparse_strip(const SparseStrip& given) {
  constexpr int kChains = chains(kRows * kColumns * kParts);
  const SparseStrip strip = given;
  float* output = strip.output;
  for (std::ptrdiff_t channel = 0; channel < strip.channels; ++channel, output += strip.output_channel) {
    std::size_t next = strip.starts[channel];
    const std::size_t stop = strip.starts[channel + 1];
    if (next == stop && !strip.bias && !strip.last) continue;
    Sums<kRows, kColumns> sums;
    begin(sums, strip, output, channel);
    const auto input_of = [&](std::size_t i) {
      return strip.input + static_cast<std::size_t>(strip.vectors[i]) * kLanes;
    };
    if constexpr (kChains > 1) {
      Sums<kRows, kColumns> more[kChains - 1];
      for (auto& one : more)
        for (int r = 0; r < kRows; ++r)
          for (int c = 0; c < kColumns; ++c) one.at[r][c] = broadcast(0.0f);
      for (; stop - next >= kChains; next += kChains) {
        add<kRows, kColumns, kStep>(sums, strip, input_of(next), broadcast(strip.weights[next]));
        for (int i = 1; i < kChains; ++i)
          add<kRows, kColumns, kStep>(more[i - 1], strip, input_of(next + i), broadcast(strip.weights[next + i]));
      }
      for (auto& one : more)
        for (int r = 0; r < kRows; ++r)
          for (int c = 0; c < kColumns; ++c) sums.at[r][c] = sums.at[r][c] + one.at[r][c];
    }
    for (; next < stop; ++next)
      add<kRows, kColumns, kStep>(sums, strip, input_of(next), broadcast(strip.weights[next]));
    end(sums, strip, output, channel);
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
