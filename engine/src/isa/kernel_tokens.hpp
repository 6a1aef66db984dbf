// Attention and layer normalisation of tokens, each of which is a lane: all sums go across vectors, none within one.
#pragma once

#include "isa/functions.hpp"
#include "isa/kernel_matrix.hpp"
#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// Where keys lie run after run: work(first key, how many).
template <class Work>
NETSURGERY_INLINE void each_run(const Attention& attention, Work&& work) {
  for (std::ptrdiff_t first = 0; first < attention.keys; first += attention.key_run)
    work(first, attention.keys - first < attention.key_run ? attention.keys - first : attention.key_run);
}

/// scores[key][vector of queries]
NETSURGERY_INLINE void score(const Attention& attention) {
  Product work{};
  work.a_row = 1;
  work.a_step = attention.key_channel;
  work.b = attention.query;
  work.b_step = attention.query_channel;
  work.output_row = attention.vectors * kLanes;
  work.vectors = attention.vectors;
  work.depth = attention.channels;
  each_run(attention, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
    work.a = attention.key + first / attention.key_run * attention.key_runs_apart;
    work.output = attention.scores + first * work.output_row;
    work.rows = count;
    product(work);
  });
}

/// e^x for x <= 0, 0 where that is subnormal; x that is NaN gives NaN. As `exponential` of functions.hpp.
NETSURGERY_INLINE Vector exponential(const Vector& x) {
  const Vector lowest = broadcast(-87.33f), magic = broadcast(12582912.0f);
  const Vector shifted = multiply_add(x, broadcast(1.44269504f), magic);
  const Vector count = shifted - magic;
  Vector r = multiply_add(count, broadcast(-0.693359375f), x);
  r = multiply_add(count, broadcast(2.12194440e-4f), r);
  Vector p = broadcast(0.00139504869f);
  for (const float next : {0.00836888794f, 0.0416662060f, 0.166665182f, 0.5f}) p = multiply_add(p, r, broadcast(next));
  p = multiply_add(r * r, p, r) + broadcast(1.0f);
  Vector result;
  for (int i = 0; i < kParts; ++i) {
    const NativeInts n = as_ints(shifted.part[i]) - as_ints(magic.part[i]);  // anything for NaN, which p is then
    const Native made = p.part[i] * as_floats((n + 127) << 23);
    result.part[i] = x.part[i] < lowest.part[i] ? Native{} : made;
  }
  return result;
}

/// Scores of one vector of queries for a key, as a mask says.
NETSURGERY_INLINE Vector masked(const ScoreMask& mask, std::ptrdiff_t at, const Vector& x) {
  const Vector numbers = load(mask.numbers + at);
  if (mask.use == ScoreMask::Use::kAdded) return x + numbers;
  if (mask.use == ScoreMask::Use::kMultiplied) return x * numbers;
  Vector result;
  for (int i = 0; i < kParts; ++i) result.part[i] = numbers.part[i] == numbers.part[i] ? numbers.part[i] : x.part[i];
  return result;
}

/// Scores of one vector of queries become powers below the largest; the reciprocal of their sum goes to `inverse`.
/// kScaled: they are multiplied by `scale` first, and masked. A score that is NaN makes its query's sum NaN.
template <bool kScaled>
NETSURGERY_INLINE void share(const Attention& attention, std::ptrdiff_t vector, float* inverse) {
  const std::ptrdiff_t pitch = attention.vectors * kLanes;
  float* const scores = attention.scores + vector * kLanes;
  const Vector scale = broadcast(attention.scale);
  Vector most = broadcast(-__builtin_inff());
  for (std::ptrdiff_t key = 0; key < attention.keys; ++key) {
    Vector x = load(scores + key * pitch);
    if (kScaled) {
      x = x * scale;
      for (int i = 0; i < attention.mask_count; ++i) x = masked(attention.masks[i], key * pitch + vector * kLanes, x);
      store(scores + key * pitch, x);
    }
    most = at_least(most, x);
  }
  // As many sums as hide an addition's latency, and keep what each of them loses small.
  constexpr int kSums = 4;
  Vector sums[kSums];
  for (Vector& sum : sums) sum = broadcast(0.0f);
  const auto power = [&](std::ptrdiff_t key) {
    const Vector below = load(scores + key * pitch) - most;
    const Vector made = exponential(kScaled ? below : below * scale);
    store(scores + key * pitch, made);
    return made;
  };
  std::ptrdiff_t key = 0;
  for (; key + kSums <= attention.keys; key += kSums)
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] + power(key + i);
  for (; key < attention.keys; ++key) sums[0] = sums[0] + power(key);
  const Vector sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  Vector result;
  for (int p = 0; p < kParts; ++p) result.part[p] = 1.0f / sum.part[p];
  store(inverse + vector * kLanes, result);
}

constexpr int kMostAttending = 16;  // vectors of queries at once

static void attend(const Attention& given) {
  const Attention attention = given;
  alignas(64) float inverse[kMostAttending * kLanes];
  score(attention);
  const bool scales_first = attention.mask_count > 0 || !(attention.scale > 0.0f);
  for (std::ptrdiff_t vector = 0; vector < attention.vectors; ++vector) {
    if (scales_first)
      share<true>(attention, vector, inverse);
    else
      share<false>(attention, vector, inverse);
  }
  Product work{};
  work.a_row = attention.value_channel;
  work.a_step = 1;
  work.b_step = attention.vectors * kLanes;
  work.output = attention.output;
  work.output_row = attention.output_channel;
  work.rows = attention.value_channels;
  work.vectors = attention.vectors;
  each_run(attention, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
    work.a = attention.value + first / attention.key_run * attention.value_runs_apart;
    work.b = attention.scores + first * work.b_step;
    work.depth = count;
    work.goes_on = first > 0;
    product(work);
  });
  for (std::ptrdiff_t channel = 0; channel < attention.value_channels; ++channel)
    for (std::ptrdiff_t i = 0; i < attention.vectors * kLanes; i += kLanes) {
      float* const at = attention.output + channel * attention.output_channel + i;
      store(at, load(at) * load(inverse + i));
    }
}

static void normalise_tokens(const NormalisedTokens& given) {
  const NormalisedTokens tokens = given;
  const Doubles count = broadcast_wide(static_cast<double>(tokens.channels));
  const Doubles epsilon = broadcast_wide(tokens.epsilon);
  for (std::ptrdiff_t vector = 0; vector < tokens.vectors; ++vector) {
    const float* const x = tokens.input + vector * kLanes;
    float* const y = tokens.output + vector * kLanes;
    Doubles sum{};
    for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) sum = sum + load_wide(x + c * tokens.channel);
    Doubles mean;
    for (int i = 0; i < kWideParts; ++i) mean.part[i] = sum.part[i] / count.part[i];
    Doubles squares{};
    for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) {
      const Doubles centred = load_wide(x + c * tokens.channel) - mean;
      squares = squares + centred * centred;
    }
    Doubles inverse;
    for (int i = 0; i < kWideParts; ++i) {
      const NativeDoubles variance = squares.part[i] / count.part[i] + epsilon.part[i];
      for (int l = 0; l < kDoublesInPart; ++l) inverse.part[i][l] = 1.0 / __builtin_sqrt(variance[l]);
    }
    for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) {
      const Doubles centred = (load_wide(x + c * tokens.channel) - mean) * inverse;
      store_narrow(y + c * tokens.channel, centred * broadcast_wide(static_cast<double>(tokens.scale[c])) +
                                               broadcast_wide(static_cast<double>(tokens.bias[c])));
    }
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
