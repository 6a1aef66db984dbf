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
    const Vector made = power_below_one(kScaled ? below : below * scale);
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
  if (attention.factors) result = result * load(attention.factors + vector * kLanes);
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

/// The tokens of one vector, in double: for numbers whose squares float32 has no room for.
NETSURGERY_INLINE void normalise_wide(const NormalisedTokens& tokens, std::ptrdiff_t vector) {
  const float* const x = tokens.input + vector * kLanes;
  float* const y = tokens.output + vector * kLanes;
  const Doubles count = broadcast_wide(static_cast<double>(tokens.channels));
  Doubles mean{};
  if (tokens.centres) {
    for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) mean = mean + load_wide(x + c * tokens.channel);
    for (int i = 0; i < kWideParts; ++i) mean.part[i] = mean.part[i] / count.part[i];
  }
  Doubles squares{};
  for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) {
    const Doubles centred = load_wide(x + c * tokens.channel) - mean;
    squares = squares + centred * centred;
  }
  Doubles inverse;
  for (int i = 0; i < kWideParts; ++i) {
    const NativeDoubles variance = squares.part[i] / count.part[i] + tokens.epsilon;
    for (int l = 0; l < kDoublesInPart; ++l) inverse.part[i][l] = 1.0 / __builtin_sqrt(variance[l]);
  }
  for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) {
    const Doubles centred = (load_wide(x + c * tokens.channel) - mean) * inverse;
    store_narrow(y + c * tokens.channel, centred * broadcast_wide(static_cast<double>(tokens.scale[c])) +
                                             broadcast_wide(static_cast<double>(tokens.bias[c])));
  }
}

/// Sums over channels of some vectors side by side, of what each(channel, vector) gives: blocks in float32, whose sums
/// are added in double, so that none loses more than a few roundings.
template <int kVectors, class Each>
NETSURGERY_INLINE void sum_of_channels(std::ptrdiff_t channels, Doubles* sums, Each&& each) {
  constexpr std::ptrdiff_t kBlock = 16;
  for (int v = 0; v < kVectors; ++v) sums[v] = Doubles{};
  for (std::ptrdiff_t begin = 0; begin < channels; begin += kBlock) {
    const std::ptrdiff_t end = channels - begin < kBlock ? channels : begin + kBlock;
    Vector block[kVectors];
    for (int v = 0; v < kVectors; ++v) block[v] = broadcast(0.0f);
    for (std::ptrdiff_t c = begin; c < end; ++c)
      for (int v = 0; v < kVectors; ++v) block[v] = block[v] + each(c, v);
    for (int v = 0; v < kVectors; ++v) sums[v] = sums[v] + widened(block[v]);
  }
}

/// Squares are those of differences from a number near the mean, and so is what is left of it, which corrects both.
template <int kVectors>
NETSURGERY_INLINE void normalise_vectors(const NormalisedTokens& tokens, std::ptrdiff_t first) {
  const Doubles share = broadcast_wide(1.0 / static_cast<double>(tokens.channels));
  const float* const x = tokens.input + first * kLanes;
  float* const y = tokens.output + first * kLanes;
  const auto at = [&](std::ptrdiff_t c, int v) { return load(x + c * tokens.channel + v * kLanes); };
  Doubles rests[kVectors], squares[kVectors];
  Vector middle[kVectors], inverse[kVectors], shift[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    middle[v] = broadcast(0.0f);
    rests[v] = Doubles{};
  }
  if (tokens.centres) {
    sum_of_channels<kVectors>(tokens.channels, rests, at);
    for (int v = 0; v < kVectors; ++v) middle[v] = narrowed(rests[v] * share);
    sum_of_channels<kVectors>(tokens.channels, rests, [&](std::ptrdiff_t c, int v) { return at(c, v) - middle[v]; });
  }
  sum_of_channels<kVectors>(tokens.channels, squares, [&](std::ptrdiff_t c, int v) {
    const Vector centred = at(c, v) - middle[v];
    return centred * centred;
  });
  bool has_room = true;
  for (int v = 0; v < kVectors; ++v) {
    const Doubles rest = rests[v] * share, variance = squares[v] * share - rest * rest;
    Doubles made, moved;
    for (int i = 0; i < kWideParts; ++i)
      for (int l = 0; l < kDoublesInPart; ++l) {
        const double above = variance.part[i][l] + tokens.epsilon;
        has_room &= above > 1e-28 && above < 1e34;
        made.part[i][l] = 1.0 / __builtin_sqrt(above);
        moved.part[i][l] = -rest.part[i][l] * made.part[i][l];
      }
    inverse[v] = narrowed(made);
    shift[v] = narrowed(moved);
  }
  if (!has_room) {
    for (int v = 0; v < kVectors; ++v) normalise_wide(tokens, first + v);
    return;
  }
  for (std::ptrdiff_t c = 0; c < tokens.channels; ++c) {
    const Vector scale = broadcast(tokens.scale[c]), bias = broadcast(tokens.bias[c]);
    for (int v = 0; v < kVectors; ++v) {
      const Vector centred = multiply_add(at(c, v) - middle[v], inverse[v], shift[v]);
      store(y + c * tokens.channel + v * kLanes, multiply_add(centred, scale, bias));
    }
  }
}

static void normalise_tokens(const NormalisedTokens& given) {
  constexpr int kTogether = kParts == 1 ? 4 : 2;
  const NormalisedTokens tokens = given;
  std::ptrdiff_t vector = 0;
  for (; vector + kTogether <= tokens.vectors; vector += kTogether) normalise_vectors<kTogether>(tokens, vector);
  for (; vector < tokens.vectors; ++vector) normalise_vectors<1>(tokens, vector);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
