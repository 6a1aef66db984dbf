// Whole numbers of 16 bits, 32 side by side: layers whose weights are powers of two add them, and nothing is
// multiplied until a finished sum becomes what its reader wants.
#pragma once

#include <cstring>

#include "isa/kernels.hpp"
#include "isa/simd.hpp"
#include "isa/transposition.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

typedef std::int16_t NativeShorts __attribute__((vector_size(kNativeBytes), may_alias));
typedef std::int16_t HalfShorts __attribute__((vector_size(kNativeBytes / 2), may_alias));

constexpr int kShortsInPart = kNativeBytes / 2;
constexpr int kIntParts = 2 * kParts;  // of native vectors of 32 bits, for all lanes of a vector of 16

/// 32 whole numbers of 16 bits.
struct Shorts {
  NativeShorts part[kParts];
};

NETSURGERY_INLINE Shorts no_shorts() {
  Shorts v;
  for (int i = 0; i < kParts; ++i) v.part[i] = NativeShorts{};
  return v;
}

NETSURGERY_INLINE Shorts load_shorts(const std::int16_t* at) {
  Shorts v;
  for (int i = 0; i < kParts; ++i) v.part[i] = reinterpret_cast<const NativeShorts*>(at)[i];
  return v;
}

NETSURGERY_INLINE void store_shorts(std::int16_t* at, const Shorts& v) {
  for (int i = 0; i < kParts; ++i) reinterpret_cast<NativeShorts*>(at)[i] = v.part[i];
}

NETSURGERY_INLINE void add_to(Shorts& sum, const std::int16_t* at) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += reinterpret_cast<const NativeShorts*>(at)[i];
}

NETSURGERY_INLINE void take_from(Shorts& sum, const std::int16_t* at) {
  for (int i = 0; i < kParts; ++i) sum.part[i] -= reinterpret_cast<const NativeShorts*>(at)[i];
}

NETSURGERY_INLINE void add_twice(Shorts& sum) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += sum.part[i];
}

/// The product and nothing more: what follows is not to be made one operation with it.
NETSURGERY_INLINE Native rounded(Native product) {
#if defined(__AVX512F__)
  asm("" : "+v"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#elif defined(__x86_64__)
  asm("" : "+x"(product));
#else
  asm("" : "+m"(product));
#endif
  return product;
}

constexpr float kRounds = 12582912.0f;

NETSURGERY_INLINE Native cut(Native x, float low, float high) {
  const Native least = low - Native{}, most = high - Native{};
  x = x > least ? x : least;
  return x < most ? x : most;
}

/// Lanes of 32 bits, in the order in which narrowed() takes them.
NETSURGERY_INLINE void widened(const NativeShorts& lanes, NativeInts* both) {
#if defined(__AVX512F__)
  const __m512i given = reinterpret_cast<const __m512i&>(lanes);
  both[0] = reinterpret_cast<NativeInts>(_mm512_srai_epi32(_mm512_unpacklo_epi16(given, given), 16));
  both[1] = reinterpret_cast<NativeInts>(_mm512_srai_epi32(_mm512_unpackhi_epi16(given, given), 16));
#elif defined(__AVX2__)
  const __m256i given = reinterpret_cast<const __m256i&>(lanes);
  both[0] = reinterpret_cast<NativeInts>(_mm256_srai_epi32(_mm256_unpacklo_epi16(given, given), 16));
  both[1] = reinterpret_cast<NativeInts>(_mm256_srai_epi32(_mm256_unpackhi_epi16(given, given), 16));
#else
  HalfShorts halves[2];
  std::memcpy(halves, &lanes, sizeof halves);
  for (int i = 0; i < 2; ++i) both[i] = __builtin_convertvector(halves[i], NativeInts);
#endif
}

/// Whole numbers that have 16 bits or are lower than all that have; those become the lowest.
NETSURGERY_INLINE NativeShorts narrowed(const NativeInts* both) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeShorts>(
      _mm512_packs_epi32(reinterpret_cast<__m512i>(both[0]), reinterpret_cast<__m512i>(both[1])));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeShorts>(
      _mm256_packs_epi32(reinterpret_cast<__m256i>(both[0]), reinterpret_cast<__m256i>(both[1])));
#else
  HalfShorts halves[2];
  for (int i = 0; i < 2; ++i) halves[i] = __builtin_convertvector(both[i], HalfShorts);
  NativeShorts lanes;
  std::memcpy(&lanes, halves, sizeof lanes);
  return lanes;
#endif
}

/// Cut to limits that are whole numbers of 16 bits, and rounded to the nearest whole number, of two equally near ones
/// to the even one. NaN becomes the lower limit.
NETSURGERY_INLINE NativeInts on_grid(Native x, float low, float high) {
#if defined(__AVX2__)
  const Native most = high - Native{};
  x = most < x ? most : x;  // NaN stays; like all that is too low it is the lowest of 32 bits when converted
#if defined(__AVX512F__)
  const NativeInts whole = reinterpret_cast<NativeInts>(_mm512_cvtps_epi32(reinterpret_cast<__m512>(x)));
#else
  const NativeInts whole = reinterpret_cast<NativeInts>(_mm256_cvtps_epi32(reinterpret_cast<__m256>(x)));
#endif
  const NativeInts least = static_cast<std::int32_t>(low) - NativeInts{};
  return whole > least ? whole : least;
#else
  // Adding kRounds leaves a float32 no bits below 1, and the number in the lowest bits.
  const Native made = rounded(cut(x, low, high) + (kRounds - Native{}));
  return as_ints(made) - as_ints(kRounds - Native{});
#endif
}

/// What a layer's exact sums in native vectors of 32 bits become, as widened() gives them.
struct FinishedLanes {
  Native scale, shift;
  const FixedFinish& finish;

  NETSURGERY_INLINE FinishedLanes(const FixedFinish& given, std::ptrdiff_t channel)
      : scale(given.scale[channel] - Native{}), shift(given.shift[channel] - Native{}), finish(given) {}

  NETSURGERY_INLINE void operator()(NativeInts* sums, const std::int16_t* residual, std::int16_t* output) const {
    for (int i = 0; i < 2; ++i) {
      const Native scaled = rounded(__builtin_convertvector(sums[i], Native) * scale);
      sums[i] = on_grid(scaled + shift, finish.low, finish.high);
    }
    if (residual) {
      NativeInts others[2];
      widened(*reinterpret_cast<const NativeShorts*>(residual), others);
      for (int i = 0; i < 2; ++i) {
        const Native own = __builtin_convertvector(sums[i], Native) * (finish.own_factor - Native{});
        const Native other = __builtin_convertvector(others[i], Native) * (finish.residual_factor - Native{});
        sums[i] = on_grid(rounded(own) + rounded(other), finish.last_low, finish.last_high);
      }
    }
    *reinterpret_cast<NativeShorts*>(output) = narrowed(sums);
  }
};

template <int kRows, int kColumns>
struct ShortSums {
  Shorts at[kRows][kColumns];
};

/// take(sum, input) for the next `count` inputs of a strip. kStep: vectors from one window to the next, 0 if only the
/// strip knows.
template <int kRows, int kColumns, int kStep, class Take>
NETSURGERY_INLINE void for_inputs(ShortSums<kRows, kColumns>& sums, FixedStrip& strip, std::ptrdiff_t count,
                                  Take&& take) {
  const std::ptrdiff_t step = kStep ? kStep * kShorts : strip.input_column;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::int16_t* input = strip.input + static_cast<std::size_t>(strip.vectors[i]) * kShorts;
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) take(sums.at[r][c], input + r * strip.input_row + c * step);
  }
  strip.vectors += count;
}

/// The sums of one part: s = 2 s + (what is added) - (what is taken away), from the highest exponent on.
template <int kRows, int kColumns, int kStep>
NETSURGERY_INLINE void sum_part(ShortSums<kRows, kColumns>& sums, FixedStrip& strip) {
  const int levels = *strip.runs++;
  for (int level = 0; level < levels; ++level) {
    if (level > 0)
      for (auto& row : sums.at)
        for (auto& one : row) add_twice(one);
    const std::ptrdiff_t plus = *strip.runs++, minus = *strip.runs++;
    for_inputs<kRows, kColumns, kStep>(sums, strip, plus, [](Shorts& sum, const std::int16_t* at) { add_to(sum, at); });
    for_inputs<kRows, kColumns, kStep>(sums, strip, minus,
                                       [](Shorts& sum, const std::int16_t* at) { take_from(sum, at); });
  }
}

/// Finished sums of an output channel: total_of(r, c, sums) gives the native vectors of 32 bits of one vector.
template <int kRows, int kColumns, class TotalOf>
NETSURGERY_INLINE void finish(const FixedStrip& strip, std::ptrdiff_t channel, std::int16_t* output,
                              TotalOf&& total_of) {
  const FinishedLanes finished(strip.finish, channel);
  const std::int16_t* residual =
      strip.finish.residual ? strip.finish.residual + channel * strip.finish.residual_channel : nullptr;
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kColumns; ++c) {
      NativeInts total[kIntParts];
      total_of(r, c, total);
      for (int i = 0; i < kParts; ++i) {
        const std::ptrdiff_t lane = c * kShorts + i * kShortsInPart;
        finished(total + 2 * i, residual ? residual + r * strip.finish.residual_row + lane : nullptr,
                 output + r * strip.output_row + lane);
      }
    }
}

template <int kRows, int kColumns, int kStep>
static void fixed_strip(const FixedStrip& given) {
  FixedStrip strip = given;
  std::int16_t* output = strip.output;
  const bool begins = strip.begins, finishes = strip.finishes;
  NativeInts* wide = reinterpret_cast<NativeInts*>(strip.wide);
  for (std::ptrdiff_t channel = 0; channel < strip.channels; ++channel, output += strip.output_channel) {
    const int parts = *strip.runs++;
    for (int part = 0; part < parts; ++part) {
      const int base = *strip.runs++;
      ShortSums<kRows, kColumns> sums;
      for (auto& row : sums.at)
        for (auto& one : row) one = no_shorts();
      sum_part<kRows, kColumns, kStep>(sums, strip);
      if (parts == 1 && base == 0 && begins && finishes) {
        finish<kRows, kColumns>(strip, channel, output, [&sums](int r, int c, NativeInts* total) {
          for (int i = 0; i < kParts; ++i) widened(sums.at[r][c].part[i], total + 2 * i);
        });
        continue;
      }
      for (int r = 0; r < kRows; ++r)
        for (int c = 0; c < kColumns; ++c) {
          NativeInts* total = wide + (r * kColumns + c) * kIntParts;
          NativeInts more[kIntParts];
          for (int i = 0; i < kParts; ++i) widened(sums.at[r][c].part[i], more + 2 * i);
          for (int i = 0; i < kIntParts; ++i)
            total[i] = part == 0 && begins ? more[i] << base : total[i] + (more[i] << base);
        }
      if (part + 1 == parts && finishes)
        finish<kRows, kColumns>(strip, channel, output, [wide](int r, int c, NativeInts* total) {
          for (int i = 0; i < kIntParts; ++i) total[i] = wide[(r * kColumns + c) * kIntParts + i];
        });
    }
    if (!begins || !finishes) wide += kRows * kColumns * kIntParts;
  }
}

/// Lanes of a halo's vectors from wherever they lie.
static void fixed_shuffle(std::int16_t* memory, std::ptrdiff_t channels, std::ptrdiff_t channel,
                          const FixedShuffle* shuffles, std::ptrdiff_t count, std::int16_t outside) {
  for (std::ptrdiff_t c = 0; c < channels; ++c, memory += channel)
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      const FixedShuffle& one = shuffles[i];
#if defined(__AVX512F__)
      const __m512i lane = _mm512_load_si512(one.lane);
      const __mmask32 inside = _mm512_cmpge_epi16_mask(lane, _mm512_setzero_si512());
      const __m512i source = _mm512_load_si512(memory + one.source);
      _mm512_store_si512(memory + one.target,
                         _mm512_mask_permutexvar_epi16(_mm512_set1_epi16(outside), inside, lane, source));
#else
      std::int16_t made[kShorts];
      const std::int16_t* source = memory + one.source;
      for (int l = 0; l < kShorts; ++l) made[l] = one.lane[l] < 0 ? outside : source[one.lane[l]];
      std::memcpy(memory + one.target, made, sizeof made);
#endif
    }
}

/// The largest of each window.
static void fixed_pool(const FixedPool& pool) {
  const std::int16_t* input = pool.input;
  std::int16_t* output = pool.output;
  for (std::ptrdiff_t c = 0; c < pool.channels; ++c, input += pool.input_channel, output += pool.output_channel)
    for (std::ptrdiff_t x = 0; x < pool.columns; ++x) {
      Shorts best = load_shorts(input + x * pool.input_column);
      for (std::ptrdiff_t y = 0; y < pool.taps_y; ++y)
        for (std::ptrdiff_t k = 0; k < pool.taps_x; ++k) {
          const Shorts seen = load_shorts(input + x * pool.input_column + y * pool.tap_row + k * pool.tap_column);
          for (int i = 0; i < kParts; ++i) best.part[i] = seen.part[i] > best.part[i] ? seen.part[i] : best.part[i];
        }
      store_shorts(output + x * kShorts, best);
    }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
