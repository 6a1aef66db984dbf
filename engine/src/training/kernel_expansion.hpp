// Filters as sums of binary planes, while a network trains: what takes a pass over a filter's weights.
#pragma once

#include <cstring>

#include "isa/simd.hpp"
#include "training/kernels.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

typedef std::uint32_t NativeWords __attribute__((vector_size(kNativeBytes)));
typedef std::uint8_t NativeCodes __attribute__((vector_size(kNativeBytes / 4)));

constexpr int kNativeLanes = kNativeBytes / 4;
constexpr std::ptrdiff_t kFloatBlock = 64 * kLanes;  // entries whose magnitudes are summed in float32

// Compilers take vectors of bytes apart, byte by byte.
NETSURGERY_INLINE NativeWords load_codes(const std::uint8_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeWords>(
      _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
#elif defined(__AVX2__)
  return reinterpret_cast<NativeWords>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
#else
  NativeCodes codes;
  std::memcpy(&codes, at, sizeof codes);
  return __builtin_convertvector(codes, NativeWords);
#endif
}

NETSURGERY_INLINE void store_codes(std::uint8_t* at, NativeWords words) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at),
                   _mm512_maskz_cvtepi32_epi8(0xffff, reinterpret_cast<__m512i>(words)));
#elif defined(__AVX2__)
  const __m256i lowest = _mm256_set1_epi32(0x0c080400);  // of the bytes of each half
  const __m256i halves = _mm256_shuffle_epi8(reinterpret_cast<__m256i>(words), lowest);
  const __m128i codes = _mm_unpacklo_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(at), codes);
#else
  const NativeCodes codes = __builtin_convertvector(words, NativeCodes);
  std::memcpy(at, &codes, sizeof codes);
#endif
}

/// The scale where the plane is +1, the scale with a minus where it is -1.
NETSURGERY_INLINE Native signed_scale(float scale, NativeWords codes, int plane) {
  const Native everywhere = scale - Native{};
  return reinterpret_cast<Native>(reinterpret_cast<NativeWords>(everywhere) ^ (codes << (31 - plane) & 0x80000000u));
}

template <int kPlanes>
struct SignSums {
  Vector norm;
  NativeWords differing[kPlanes + 1][kParts];
};

/// One vector of entries. kPartly: only those lanes count that are all ones in `counted`.
template <int kPlanes, bool kPartly>
NETSURGERY_INLINE void add_entries(const float* weights, std::uint8_t* codes, const float* scales,
                                   const NativeWords* counted, SignSums<kPlanes>& sums) {
  const Vector weight = load_unaligned(weights);
  for (int i = 0; i < kParts; ++i) {
    NativeWords code{};
    if constexpr (kPlanes > 0) code = load_codes(codes + i * kNativeLanes);
    Native residual = weight.part[i] + Native{};  // -0 becomes +0
    for (int plane = 0; plane < kPlanes; ++plane) residual -= signed_scale(scales[plane], code, plane);
    const NativeWords bits = reinterpret_cast<NativeWords>(residual);
    const NativeWords negative = bits >> 31;
    NativeWords magnitude = bits & 0x7fffffffu;
    if constexpr (kPartly) magnitude &= counted[i];
    sums.norm.part[i] += reinterpret_cast<Native>(magnitude);
    for (int plane = 0; plane < kPlanes; ++plane) {
      NativeWords differs = (code >> plane ^ negative) & 1u;
      if constexpr (kPartly) differs &= counted[i];
      sums.differing[plane][i] += differs;
    }
    store_codes(codes + i * kNativeLanes, code | negative << kPlanes);
  }
}

template <int kPlanes>
static void next_plane_after(const NextPlane& plane, PlaneSums& found) {
  const float* const weights = plane.weights;
  std::uint8_t* const signs = plane.codes;
  float scales[kPlanes + 1];
  for (int p = 0; p < kPlanes; ++p) scales[p] = plane.scales[p];
  const std::ptrdiff_t whole = plane.entries / kLanes * kLanes;
  double norm[kLanes] = {};
  SignSums<kPlanes> sums{};
  const auto add_norm = [&] {
    for (int i = 0; i < kParts; ++i)
      for (int l = 0; l < kNativeLanes; ++l) norm[i * kNativeLanes + l] += sums.norm.part[i][l];
    sums.norm = Vector{};
  };
  for (std::ptrdiff_t begin = 0; begin < whole; begin += kFloatBlock) {
    const std::ptrdiff_t end = begin + kFloatBlock < whole ? begin + kFloatBlock : whole;
    for (std::ptrdiff_t at = begin; at < end; at += kLanes)
      add_entries<kPlanes, false>(weights + at, signs + at, scales, nullptr, sums);
    add_norm();
  }
  if (const std::ptrdiff_t rest = plane.entries - whole) {
    const std::size_t count = static_cast<std::size_t>(rest);
    float padded[kLanes] = {};
    std::uint8_t codes[kLanes] = {};
    alignas(64) std::uint32_t lanes[kLanes] = {};
    NativeWords counted[kParts];
    for (std::ptrdiff_t l = 0; l < rest; ++l) lanes[l] = ~0u;
    std::memcpy(counted, lanes, sizeof lanes);
    std::memcpy(padded, weights + whole, count * sizeof(float));
    std::memcpy(codes, signs + whole, count);
    add_entries<kPlanes, true>(padded, codes, scales, counted, sums);
    std::memcpy(signs + whole, codes, count);
    add_norm();
  }
  found.norm = 0;
  for (int l = 0; l < kLanes; ++l) found.norm += norm[l];
  for (int p = 0; p < kPlanes; ++p) {
    found.differing[p] = 0;
    for (int i = 0; i < kParts; ++i)
      for (int l = 0; l < kNativeLanes; ++l) found.differing[p] += sums.differing[p][i][l];
  }
}

static void next_plane(const NextPlane& given, PlaneSums& found) {
  const NextPlane plane = given;
  static constexpr void (*kAfter[kMostPlanes])(const NextPlane&, PlaneSums&) = {
      next_plane_after<0>, next_plane_after<1>, next_plane_after<2>, next_plane_after<3>,
      next_plane_after<4>, next_plane_after<5>, next_plane_after<6>, next_plane_after<7>};
  kAfter[plane.planes](plane, found);
}

/// The sum of the planes in one part of a vector. Bit j of a code is 1 where plane j is -1.
template <int kPlanes>
NETSURGERY_INLINE Native sum_of(NativeWords code, const float* scales) {
  Native sum = signed_scale(scales[0], code, 0);
  for (int plane = 1; plane < kPlanes; ++plane) sum += signed_scale(scales[plane], code, plane);
  return sum;
}

template <int kPlanes>
constexpr std::uint32_t kAll = (1u << kPlanes) - 1;

/// kTurned: bit j is 1 where plane j is +1, and stays so.
template <int kPlanes, bool kTurned>
NETSURGERY_INLINE void put_totals(std::uint8_t* codes, const float* scales, float* total) {
  for (int i = 0; i < kParts; ++i) {
    const NativeWords code = load_codes(codes + i * kNativeLanes), turned = code ^ kAll<kPlanes>;
    const Native sum = sum_of<kPlanes>(kTurned ? turned : code, scales);
    std::memcpy(total + i * kNativeLanes, &sum, sizeof sum);
    if constexpr (!kTurned) store_codes(codes + i * kNativeLanes, turned);
  }
}

template <int kPlanes, bool kTurned>
static void total_of(const PlaneTotal& given) {
  const PlaneTotal all = given;
  float scales[kPlanes];
  for (int p = 0; p < kPlanes; ++p) scales[p] = all.scales[p];
  const std::ptrdiff_t whole = all.entries / kLanes * kLanes;
  std::uint8_t* const signs = all.codes;
  float* const sums = all.total;
  for (std::ptrdiff_t at = 0; at < whole; at += kLanes) put_totals<kPlanes, kTurned>(signs + at, scales, sums + at);
  if (const std::size_t count = static_cast<std::size_t>(all.entries - whole)) {
    std::uint8_t codes[kLanes] = {};
    float total[kLanes];
    std::memcpy(codes, signs + whole, count);
    put_totals<kPlanes, kTurned>(codes, scales, total);
    std::memcpy(signs + whole, codes, count);
    std::memcpy(sums + whole, total, count * sizeof(float));
  }
}

template <bool kTurned>
static void total(const PlaneTotal& given) {
  static constexpr void (*kOf[kMostPlanes])(const PlaneTotal&) = {
      total_of<1, kTurned>, total_of<2, kTurned>, total_of<3, kTurned>, total_of<4, kTurned>,
      total_of<5, kTurned>, total_of<6, kTurned>, total_of<7, kTurned>, total_of<8, kTurned>};
  kOf[given.planes - 1](given);
}

static void plane_total(const PlaneTotal& given) { total<false>(given); }
static void plane_sum(const PlaneTotal& given) { total<true>(given); }

/// One vector of entries. NaN in a sum, of a filter that isn't finite, differs from every weight.
template <int kPlanes>
NETSURGERY_INLINE bool adopt_entries(const float* weights, const std::uint8_t* codes, const float* scales,
                                     float* latent) {
  NativeWords any{};
  for (int i = 0; i < kParts; ++i) {
    Native weight;
    std::memcpy(&weight, weights + i * kNativeLanes, sizeof weight);
    any |= reinterpret_cast<NativeWords>(weight !=
                                         sum_of<kPlanes>(load_codes(codes + i * kNativeLanes) ^ kAll<kPlanes>, scales));
  }
  std::uint32_t differs = 0;
  for (int l = 0; l < kNativeLanes; ++l) differs |= any[l];
  if (!differs) return false;
  for (int i = 0; i < kParts; ++i) {
    Native weight, before;
    std::memcpy(&weight, weights + i * kNativeLanes, sizeof weight);
    std::memcpy(&before, latent + i * kNativeLanes, sizeof before);
    const NativeWords other = reinterpret_cast<NativeWords>(
        weight != sum_of<kPlanes>(load_codes(codes + i * kNativeLanes) ^ kAll<kPlanes>, scales));
    const NativeWords now =
        (reinterpret_cast<NativeWords>(weight) & other) | (reinterpret_cast<NativeWords>(before) & ~other);
    std::memcpy(latent + i * kNativeLanes, &now, sizeof now);
  }
  return true;
}

template <int kPlanes>
static bool adopt_of(const Written& given) {
  const Written all = given;
  float scales[kPlanes];
  for (int p = 0; p < kPlanes; ++p) scales[p] = all.scales[p];
  const std::ptrdiff_t whole = all.entries / kLanes * kLanes;
  bool any = false;
  for (std::ptrdiff_t at = 0; at < whole; at += kLanes)
    any |= adopt_entries<kPlanes>(all.weights + at, all.codes + at, scales, all.latent + at);
  if (const std::size_t count = static_cast<std::size_t>(all.entries - whole)) {
    std::uint8_t codes[kLanes] = {};
    float weights[kLanes], latent[kLanes] = {};
    std::memcpy(codes, all.codes + whole, count);
    const PlaneTotal rest{codes, scales, kPlanes, kLanes, weights};
    total_of<kPlanes, true>(rest);  // beyond the filter nothing was written
    std::memcpy(weights, all.weights + whole, count * sizeof(float));
    std::memcpy(latent, all.latent + whole, count * sizeof(float));
    any |= adopt_entries<kPlanes>(weights, codes, scales, latent);
    std::memcpy(all.latent + whole, latent, count * sizeof(float));
  }
  return any;
}

static bool adopt(const Written& given) {
  static constexpr bool (*kOf[kMostPlanes])(const Written&) = {adopt_of<1>, adopt_of<2>, adopt_of<3>, adopt_of<4>,
                                                               adopt_of<5>, adopt_of<6>, adopt_of<7>, adopt_of<8>};
  return kOf[given.planes - 1](given);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
