// Depthwise convolutions: a channel is dressed with what lies around its tiles, and each vector of it is read once for
// all windows of a row that see it. Or some channels become lanes, where pictures are small.
#pragma once

#include "isa/kernel_movement.hpp"
#include "isa/kernels.hpp"
#include "isa/simd.hpp"
#include "isa/transposition.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

constexpr int kNativeFloats = kNativeBytes / 4;

struct Span {
  std::ptrdiff_t begin, end;  // [begin, end)
};

/// A channel as windows see it: the tile's own vectors, and those that lie around it.
static __attribute__((noinline)) const float* dress(const DepthwiseChannels& work, float* channel) {
  float* target = work.scratch ? work.scratch : channel + work.seen_first;
  for (std::ptrdiff_t i = 0; i < work.runs_count; ++i) {
    const VectorRun& run = work.runs[i];
    const float* source = channel + run.first.source;
    float* made = target + run.first.target;
    __builtin_prefetch(source + work.input_channel);
    for (std::ptrdiff_t x = 0; x < run.count; ++x) store(made + x * kLanes, load(source + x * kLanes));
  }
  for (std::ptrdiff_t m = 0; m < work.maps_count; ++m) {
    const LaneChoice chosen(work.maps[m], 0.0f);
    const VectorMove* const end = work.moves + work.first_move[m + 1];
    for (const VectorMove* move = work.moves + work.first_move[m]; move < end; ++move)
      chosen(channel + move->source, target + move->target);
  }
  return target;
}

/// Rows of an output that are computed together: a sum waits for itself, so that there have to be some.
constexpr int rows_together(int columns) { return columns <= 4 ? 2 : 1; }

/// Sums of neighbouring windows, of a native vector of lanes. kTaps: of a row of the kernel; kStep: columns from window
/// to window. rows: where the first window of each row of them begins. kWeights: floats from a weight to the next; a
/// weight for all lanes, or for each its own.
template <int kTaps, int kStep, int kWeights, int kRows, int kColumns>
NETSURGERY_INLINE void add_windows(const float* const (&rows)[kRows], std::ptrdiff_t row, const Span& taps_y,
                                   const float* weights, Native (&sums)[kRows][kColumns]) {
  weights += taps_y.begin * kTaps * kWeights;
  for (std::ptrdiff_t y = taps_y.begin; y < taps_y.end; ++y, weights += kTaps * kWeights) {
    Native weight[kTaps];
    for (int k = 0; k < kTaps; ++k)
      if constexpr (kWeights == 1)
        weight[k] = weights[k] - Native{};
      else
        weight[k] = *reinterpret_cast<const AlignedNative*>(weights + k * kWeights);
#pragma GCC unroll 32
    for (int x = 0; x < (kColumns - 1) * kStep + kTaps; ++x)
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r) {
        // Compilers would load it anew for each product, and a processor does no more loads in a cycle than products.
        const Native seen = in_register(*reinterpret_cast<const AlignedNative*>(rows[r] + y * row + x * kLanes));
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k)
          if (x >= k && (x - k) % kStep == 0 && (x - k) / kStep < kColumns)
            sums[r][(x - k) / kStep] += weight[k] * seen;
      }
  }
}

template <int kColumns>
NETSURGERY_INLINE void finish_windows(const Finish& finish, const float* residual, Native (&sums)[kColumns],
                                      float* output) {
  if (residual)
    for (int c = 0; c < kColumns; ++c) sums[c] += *reinterpret_cast<const AlignedNative*>(residual + c * kLanes);
  if (finish.clips) {
    const Native low = finish.low - Native{}, high = finish.high - Native{};
    for (Native& sum : sums) sum = at_most(high, at_least(low, sum));
  }
  for (int c = 0; c < kColumns; ++c) *reinterpret_cast<AlignedNative*>(output + c * kLanes) = sums[c];
}

/// All rows of an output. Where the last rows or columns are too few, some of those before them are computed again.
template <int kTaps, int kStep, int kColumns>
NETSURGERY_INLINE void depthwise_rows(const DepthwiseChannels& work, const float* seen, std::ptrdiff_t o) {
  constexpr int kRows = rows_together(kColumns);
  const float* weights = work.weights + o * work.taps_y * kTaps;
  float* output = work.output + o * work.output_channel;
  const float* residual = work.finish.residual ? work.finish.residual + o * work.finish.residual_channel : nullptr;
  for (std::ptrdiff_t y = 0; y < work.rows; y += kRows) {
    std::ptrdiff_t at[kRows];
    for (int r = 0; r < kRows; ++r) at[r] = y + r < work.rows ? y + r : work.rows - 1;
    for (std::ptrdiff_t next = 0; next < work.columns; next += kColumns) {
      const std::ptrdiff_t x = next + kColumns <= work.columns ? next : work.columns - kColumns;
      for (std::ptrdiff_t part = 0; part < kLanes; part += kNativeFloats) {
        const float* rows[kRows];
        for (int r = 0; r < kRows; ++r)
          rows[r] = seen + at[r] * work.step_y * work.seen_row + x * kStep * kLanes + part;
        Native sums[kRows][kColumns];
        for (auto& row : sums)
          for (Native& sum : row) sum = work.bias[o] - Native{};
        add_windows<kTaps, kStep, 1>(rows, work.seen_row, {0, work.taps_y}, weights, sums);
        for (int r = 0; r < kRows; ++r)
          finish_windows<kColumns>(work.finish,
                                   residual ? residual + at[r] * work.finish.residual_row + x * kLanes + part : nullptr,
                                   sums[r], output + at[r] * work.output_row + x * kLanes + part);
      }
    }
    for (int r = 0; work.function && r < kRows && y + r < work.rows; ++r) {
      float* const row = output + at[r] * work.output_row;
      work.function(row, row, work.columns * kLanes, work.parameters);
    }
  }
}

template <int kTaps, int kStep, int kColumns>
static void depthwise(const DepthwiseChannels& given) {
  const DepthwiseChannels work = given;
  for (std::ptrdiff_t c = 0; c < work.channels; ++c) {
    const float* const seen = dress(work, work.input + c * work.input_channel);
    for (std::ptrdiff_t o = c * work.multiplier; o < (c + 1) * work.multiplier; ++o)
      depthwise_rows<kTaps, kStep, kColumns>(work, seen, o);
  }
}

/// Channels to the lanes of pictures.
static __attribute__((noinline)) void turn_in(const TurnedChannels& work) {
  for (std::ptrdiff_t i = 0; i < work.input_vectors_count; ++i) {
    const TurnedVector& vector = work.input_vectors[i];
    const float* rows[kLanes];
    for (std::ptrdiff_t c = 0; c < kLanes; ++c)
      rows[c] = work.input + (c < work.channels ? c : work.channels - 1) * work.input_channel + vector.place;
    Vector pixels[kLanes];
    transposed(rows, pixels);
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l) store(work.pictures + vector.pixel[l], pixels[l]);
  }
}

/// Lanes of sums to the channels that they are of.
static __attribute__((noinline)) void turn_out(const TurnedChannels& work) {
  for (std::ptrdiff_t i = 0; i < work.output_vectors_count; ++i) {
    const TurnedVector& vector = work.output_vectors[i];
    const float* rows[kLanes];
    for (int l = 0; l < kLanes; ++l) rows[l] = work.sums + vector.pixel[l];
    Vector channels[kLanes];
    transposed(rows, channels);
#pragma GCC unroll 16
    for (int c = 0; c < kLanes; ++c)
      if (c < work.channels) store(work.output + c * work.output_channel + vector.place, channels[c]);
  }
}

/// All rows of a picture, as depthwise_rows has them; rows of zeros around it are left out where that is possible.
template <int kTaps, int kStep, int kColumns>
NETSURGERY_INLINE void turned_rows(const TurnedChannels& work, const float* picture, float* output) {
  constexpr int kRows = rows_together(kColumns);
  for (std::ptrdiff_t y = 0; y < work.rows; y += kRows) {
    std::ptrdiff_t at[kRows];
    for (int r = 0; r < kRows; ++r) at[r] = y + r < work.rows ? y + r : work.rows - 1;
    const std::ptrdiff_t above = work.pad_above - at[kRows - 1] * work.step_y;
    const std::ptrdiff_t below = work.pad_above + work.height - at[0] * work.step_y;
    const Span taps_y{above > 0 ? above : 0, below < work.taps_y ? below : work.taps_y};
    for (std::ptrdiff_t next = 0; next < work.columns; next += kColumns) {
      const std::ptrdiff_t x = next + kColumns <= work.columns ? next : work.columns - kColumns;
      for (std::ptrdiff_t part = 0; part < work.channels; part += kNativeFloats) {
        const float* rows[kRows];
        for (int r = 0; r < kRows; ++r)
          rows[r] = picture + at[r] * work.step_y * work.picture_row + x * kStep * kLanes + part;
        Native sums[kRows][kColumns];
        for (auto& row : sums)
          for (Native& sum : row) sum = *reinterpret_cast<const AlignedNative*>(work.bias + part);
        add_windows<kTaps, kStep, kLanes>(rows, work.picture_row, taps_y, work.weights + part, sums);
        for (int r = 0; r < kRows; ++r)
          finish_windows<kColumns>(work.finish, nullptr, sums[r], output + (at[r] * work.columns + x) * kLanes + part);
      }
    }
  }
}

template <int kTaps, int kStep, int kColumns>
static void turned_depthwise(const TurnedChannels& given) {
  const TurnedChannels work = given;
  turn_in(work);
  const std::ptrdiff_t sums = work.rows * work.columns * kLanes;
  for (std::ptrdiff_t p = 0; p < work.pictures_count; ++p)
    turned_rows<kTaps, kStep, kColumns>(work, work.pictures + p * work.picture, work.sums + p * sums);
  if (work.function) work.function(work.sums, work.sums, work.pictures_count * sums, work.parameters);
  turn_out(work);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
