// Dense convolution: a panel of inputs, packed one after another, times blocks of output channels whose sums stay in
// registers. The first block packs what it reads.
#pragma once

#include <algorithm>

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

// As many sums as there are registers beside the inputs and a weight: each input that is loaded serves all channels,
// each weight all vectors.
#if defined(__AVX512F__)
constexpr int kDenseChannels = 6, kDenseVectors = 4;
constexpr double kDenseCycles = 0.8;  // as measured, beside sparse strips
#elif defined(__AVX2__)
constexpr int kDenseChannels = 6, kDenseVectors = 1;
constexpr double kDenseCycles = 1.0;
#elif defined(__aarch64__)
constexpr int kDenseChannels = 6, kDenseVectors = 1;
constexpr double kDenseCycles = 0.9;  // estimated, as the next one
#else
constexpr int kDenseChannels = 2, kDenseVectors = 1;
constexpr double kDenseCycles = 1.0;
#endif
static_assert(kDenseVectors <= kMostDenseVectors, "the table has no room for wider panels");

/// What to fetch with the first input, and how far it is to what to fetch with the next one.
struct Ahead {
  const float* at;
  std::ptrdiff_t step;
};

/// The compiler keeps an array in registers only where it has unrolled every loop over it early: hence the pragmas.
template <int kChannels, int kVectors, bool kPacks>
NETSURGERY_INLINE void dense_block(const DensePanel& panel, const float* weights, std::ptrdiff_t channel, Ahead ahead) {
  constexpr int kNatives = kVectors * kParts, kNativeLanes = kLanes / kParts;
  Native sums[kChannels][kNatives];
  float* output[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) output[v] = panel.output + channel * panel.output_channel + panel.places[v];
  const auto part = [](float* at, int p) -> AlignedNative* { return reinterpret_cast<AlignedNative*>(at) + p; };
  if (panel.bias) {
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
      const Native bias = panel.bias[channel + c] - Native{};
#pragma GCC unroll 8
      for (int n = 0; n < kNatives; ++n) sums[c][n] = bias;
    }
  } else {
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
      for (int n = 0; n < kNatives; ++n) sums[c][n] = *part(output[n / kParts] + c * panel.output_channel, n % kParts);
  }
  const float* input = panel.input;
  const char* windows[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors && kPacks; ++v)
    windows[v] = reinterpret_cast<const char*>(panel.source + panel.source_places[v]);
  const std::ptrdiff_t step = panel.weight_step ? panel.weight_step : kChannels;
  for (std::ptrdiff_t i = 0; i < panel.inputs; ++i, weights += step, input += kVectors * kLanes) {
    if constexpr (!kPacks) {
      __builtin_prefetch(ahead.at, 0, 2);
      ahead.at += ahead.step;
    }
    Native seen[kNatives];
#pragma GCC unroll 8
    for (int n = 0; n < kNatives; ++n) {
      if constexpr (kPacks) {
        const char* const window = windows[n / kParts] + panel.offsets[i];
        // The next vectors are mostly neighbours, of more channels than processors follow by themselves.
        if (n % kParts == 0) __builtin_prefetch(window + 2 * kVectors * kLanes * sizeof(float), 0, 3);
        seen[n] = reinterpret_cast<const AlignedNative*>(window)[n % kParts];
        *reinterpret_cast<AlignedNative*>(panel.packed + i * kVectors * kLanes + n * kNativeLanes) = seen[n];
      } else {
        seen[n] = *reinterpret_cast<const AlignedNative*>(input + n * kNativeLanes);
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
      const Native weight = weights[c] - Native{};
#pragma GCC unroll 8
      for (int n = 0; n < kNatives; ++n) sums[c][n] = weight * seen[n] + sums[c][n];
    }
  }
  if (panel.last) {
    const Finish& finish = panel.finish;
    if (finish.residual) {
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
        for (int n = 0; n < kNatives; ++n) {
          const float* at =
              finish.residual + (channel + c) * finish.residual_channel + panel.residual_places[n / kParts];
          sums[c][n] = sums[c][n] + reinterpret_cast<const AlignedNative*>(at)[n % kParts];
        }
    }
    if (finish.clips) {
      const Native low = finish.low - Native{}, high = finish.high - Native{};
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
        for (int n = 0; n < kNatives; ++n) sums[c][n] = at_most(high, at_least(low, sums[c][n]));
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
    for (int n = 0; n < kNatives; ++n) *part(output[n / kParts] + c * panel.output_channel, n % kParts) = sums[c][n];
}

template <int kVectors, bool kPacks>
NETSURGERY_INLINE void dense_block_of(std::ptrdiff_t channels, const DensePanel& panel, const float* weights,
                                      std::ptrdiff_t first, Ahead ahead) {
  switch (channels) {
    case 1:
      dense_block<1, kVectors, kPacks>(panel, weights, first, ahead);
      break;
    case 2:
      dense_block<2, kVectors, kPacks>(panel, weights, first, ahead);
      break;
#if !defined(__SSE2__) || defined(__AVX2__)
    case 3:
      dense_block<3, kVectors, kPacks>(panel, weights, first, ahead);
      break;
    case 4:
      dense_block<4, kVectors, kPacks>(panel, weights, first, ahead);
      break;
    case 5:
      dense_block<5, kVectors, kPacks>(panel, weights, first, ahead);
      break;
    case 6:
      dense_block<6, kVectors, kPacks>(panel, weights, first, ahead);
      break;
#endif
  }
}

template <int kVectors>
static void dense_panel(const DensePanel& given) {
  const DensePanel panel = given;
  const float* weights = panel.weights;
  // What comes next is fetched little by little, over all blocks: at once, it would be more than memory gives.
  const std::ptrdiff_t inputs = panel.blocks * panel.inputs;
  const std::ptrdiff_t fetched =
      inputs > 0 ? std::min((panel.next_floats + inputs - 1) / inputs, std::ptrdiff_t{kLanes}) : 0;
  for (std::ptrdiff_t i = 0; i < panel.blocks; ++i) {
    const std::ptrdiff_t first = panel.first[i], channels = panel.first[i + 1] - first;
    if (i + 1 < panel.blocks) {  // what the next block writes: of more channels than processors follow by themselves
      const std::ptrdiff_t after = panel.first[i + 2];
      for (std::ptrdiff_t c = first + channels; c < after; ++c)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
          __builtin_prefetch(panel.output + c * panel.output_channel + panel.places[v], 1, 3);
    }
    const Ahead ahead{fetched ? panel.next + i * panel.inputs * fetched : panel.input, fetched};
    if (i == 0 && panel.source)
      dense_block_of<kVectors, true>(channels, panel, weights, first, ahead);
    else
      dense_block_of<kVectors, false>(channels, panel, weights, first, ahead);
    weights += panel.weight_step ? channels : channels * panel.inputs;
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
