// Whole numbers of 16 bits, 32 side by side: what vectors of them can do. For kernel units, as simd.hpp.
#pragma once

#include <cstring>

#include "isa/kernels.hpp"
#include "isa/simd.hpp"
#include "isa/transposition.hpp"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace netsurgery {
namespace NETSURGERY_SET {

typedef std::int16_t NativeShorts __attribute__((vector_size(kNativeBytes), may_alias));
typedef std::uint16_t UnsignedShorts __attribute__((vector_size(kNativeBytes), may_alias));  // which may wrap
typedef std::int16_t HalfShorts __attribute__((vector_size(kNativeBytes / 2), may_alias));

typedef std::uint8_t HalfBytes __attribute__((vector_size(kNativeBytes / 2), may_alias));

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

NETSURGERY_INLINE NativeShorts part_at(const std::int16_t* at, int part) {
  return reinterpret_cast<const NativeShorts*>(at)[part];
}

/// Of bytes.
NETSURGERY_INLINE NativeShorts part_at(const std::uint8_t* at, int part) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeShorts>(
      _mm512_cvtepu8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(at) + part)));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeShorts>(
      _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(at) + part)));
#else
  return __builtin_convertvector(reinterpret_cast<const HalfBytes*>(at)[part], NativeShorts);
#endif
}

/// As bytes, which they fit.
NETSURGERY_INLINE void store_bytes(std::uint8_t* at, const Shorts& v) {
  for (int i = 0; i < kParts; ++i) {
#if defined(__AVX512F__)
    _mm256_store_si256(reinterpret_cast<__m256i*>(at) + i,
                       _mm512_cvtepi16_epi8(reinterpret_cast<const __m512i&>(v.part[i])));
#elif defined(__AVX2__)
    const __m256i all = reinterpret_cast<const __m256i&>(v.part[i]);
    _mm_store_si128(reinterpret_cast<__m128i*>(at) + i,
                    _mm_packus_epi16(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
#else
    reinterpret_cast<HalfBytes*>(at)[i] = __builtin_convertvector(v.part[i], HalfBytes);
#endif
  }
}

template <class Number>
NETSURGERY_INLINE void add_to(Shorts& sum, const Number* at) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += part_at(at, i);
}

template <class Number>
NETSURGERY_INLINE void take_from(Shorts& sum, const Number* at) {
  for (int i = 0; i < kParts; ++i) sum.part[i] -= part_at(at, i);
}

template <class Number>
NETSURGERY_INLINE void add_product(Shorts& sum, const NativeShorts& factor, const Number* at) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += factor * part_at(at, i);
}

NETSURGERY_INLINE void add_twice(Shorts& sum) {
  for (int i = 0; i < kParts; ++i) sum.part[i] += sum.part[i];
}

/// What is too large for 16 bits, or too low, is the largest or the lowest number of them.
NETSURGERY_INLINE NativeShorts saturated_sum(NativeShorts a, NativeShorts b) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeShorts>(
      _mm512_adds_epi16(reinterpret_cast<__m512i&>(a), reinterpret_cast<__m512i&>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeShorts>(
      _mm256_adds_epi16(reinterpret_cast<__m256i&>(a), reinterpret_cast<__m256i&>(b)));
#elif defined(__aarch64__)
  return reinterpret_cast<NativeShorts>(vqaddq_s16(reinterpret_cast<int16x8_t&>(a), reinterpret_cast<int16x8_t&>(b)));
#else
  const NativeShorts sum = reinterpret_cast<NativeShorts>(reinterpret_cast<const UnsignedShorts&>(a) +
                                                          reinterpret_cast<const UnsignedShorts&>(b));
  const NativeShorts beyond = ((a ^ sum) & (b ^ sum)) < 0;
  return beyond ? (a >> 15) ^ static_cast<std::int16_t>(0x7fff) : sum;
#endif
}

/// The upper 16 bits of products.
NETSURGERY_INLINE NativeShorts upper_product(NativeShorts a, NativeShorts b) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeShorts>(
      _mm512_mulhi_epi16(reinterpret_cast<__m512i&>(a), reinterpret_cast<__m512i&>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeShorts>(
      _mm256_mulhi_epi16(reinterpret_cast<__m256i&>(a), reinterpret_cast<__m256i&>(b)));
#else
  HalfShorts halves[2][2];
  std::memcpy(halves[0], &a, sizeof a);
  std::memcpy(halves[1], &b, sizeof b);
  for (int i = 0; i < 2; ++i)
    halves[0][i] = __builtin_convertvector(
        (__builtin_convertvector(halves[0][i], NativeInts) * __builtin_convertvector(halves[1][i], NativeInts)) >> 16,
        HalfShorts);
  NativeShorts upper;
  std::memcpy(&upper, halves[0], sizeof upper);
  return upper;
#endif
}

NETSURGERY_INLINE NativeShorts between(NativeShorts x, NativeShorts low, NativeShorts high) {
  x = x > low ? x : low;
  return x < high ? x : high;
}

/// Half a native vector of whole numbers, in 32 bits each.
NETSURGERY_INLINE NativeInts ints_of(HalfShorts whole) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeInts>(_mm512_cvtepi16_epi32(reinterpret_cast<__m256i>(whole)));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeInts>(_mm256_cvtepi16_epi32(reinterpret_cast<__m128i>(whole)));
#else
  return __builtin_convertvector(whole, NativeInts);
#endif
}

/// The product and nothing more: what follows is not to be made one operation with it.
NETSURGERY_INLINE Native rounded(Native product) { return in_register(product); }

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

/// The same of lanes that are in order.
NETSURGERY_INLINE NativeShorts narrowed_in_order(const NativeInts* both) {
  const NativeShorts lanes = narrowed(both);
#if defined(__AVX512F__)
  return reinterpret_cast<NativeShorts>(
      _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), reinterpret_cast<const __m512i&>(lanes)));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeShorts>(
      _mm256_permute4x64_epi64(reinterpret_cast<const __m256i&>(lanes), _MM_SHUFFLE(3, 1, 2, 0)));
#else
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

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
