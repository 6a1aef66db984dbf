// Lanes in and out of vectors: pictures become vectors of tiles, tiles see their neighbours, and back.
#pragma once

#include <cstring>

#include "isa/kernels.hpp"
#include "isa/simd.hpp"
#include "isa/transposition.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// Where the lanes of a vector come from, in registers.
class LaneChoice {
 public:
#if defined(__AVX512F__)
  NETSURGERY_INLINE LaneChoice(const LaneMap& given, float outside)
      : lane_(_mm512_load_si512(given.lane)),
        inside_(_mm512_cmpge_epi32_mask(lane_, _mm512_setzero_si512())),
        outside_(_mm512_set1_ps(outside)) {}

  NETSURGERY_INLINE void operator()(const float* source, float* target) const {
    _mm512_store_ps(target, _mm512_mask_permutexvar_ps(outside_, inside_, lane_, _mm512_load_ps(source)));
  }

 private:
  __m512i lane_;
  __mmask16 inside_;
  __m512 outside_;
#elif defined(__AVX2__)
  NETSURGERY_INLINE LaneChoice(const LaneMap& given, float outside)
      : given_(given),
        outside_(_mm256_set1_ps(outside)),
        lane_{_mm256_load_si256(reinterpret_cast<const __m256i*>(given.lane)),
              _mm256_load_si256(reinterpret_cast<const __m256i*>(given.lane + 8))} {}

  NETSURGERY_INLINE void operator()(const float* source, float* target) const {
    if (given_.stays) return put(target, _mm256_load_ps(source), _mm256_load_ps(source + 8));
    if (given_.in_fours)
      return put(target, _mm256_permutevar_ps(fours(source, 0), lane_[0]),
                 _mm256_permutevar_ps(fours(source, 1), lane_[1]));
    const __m256 low = _mm256_load_ps(source), high = _mm256_load_ps(source + 8);
    const auto chosen = [&](const __m256i& lane) {
      const __m256 is_high = _mm256_castsi256_ps(_mm256_slli_epi32(lane, 28));  // lanes 8 .. 15
      return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, lane), _mm256_permutevar8x32_ps(high, lane), is_high);
    };
    put(target, chosen(lane_[0]), chosen(lane_[1]));
  }

 private:
  NETSURGERY_INLINE __m256 fours(const float* source, int half) const {
    const __m128 low = _mm_load_ps(source + given_.four[2 * half]);
    return _mm256_insertf128_ps(_mm256_castps128_ps256(low), _mm_load_ps(source + given_.four[2 * half + 1]), 1);
  }
  /// What has no lane is outside: the sign of its number says so.
  NETSURGERY_INLINE void put(float* target, __m256 first, __m256 second) const {
    _mm256_store_ps(target, _mm256_blendv_ps(first, outside_, _mm256_castsi256_ps(lane_[0])));
    _mm256_store_ps(target + 8, _mm256_blendv_ps(second, outside_, _mm256_castsi256_ps(lane_[1])));
  }

  const LaneMap& given_;
  __m256 outside_;
  __m256i lane_[2];
#else
  NETSURGERY_INLINE LaneChoice(const LaneMap& given, float outside) : given_(given), outside_(outside) {}

  NETSURGERY_INLINE void operator()(const float* source, float* target) const {
    float made[kLanes];
    for (int l = 0; l < kLanes; ++l) made[l] = given_.lane[l] < 0 ? outside_ : source[given_.lane[l]];
    std::memcpy(target, made, sizeof made);
  }

 private:
  const LaneMap& given_;
  float outside_;
#endif
};

static void shuffle_lanes(float* memory, std::ptrdiff_t channels, std::ptrdiff_t channel, const Shuffle* shuffles,
                          std::ptrdiff_t count, float outside) {
  // Channel by channel within a shuffle: its lanes stay in registers.
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const LaneChoice chosen(shuffles[i], outside);
    const float* source = memory + shuffles[i].source;
    float* target = memory + shuffles[i].target;
    for (std::ptrdiff_t c = 0; c < channels; ++c, source += channel, target += channel) chosen(source, target);
  }
}

#if defined(__AVX2__)
/// Gathers of the instruction set take several times as long as loads, one by one.
NETSURGERY_INLINE __m128 four_of(const float* source, const std::int32_t* offsets) {
  __m128 made = _mm_load_ss(source + offsets[0]);
  made = _mm_insert_ps(made, _mm_load_ss(source + offsets[1]), 0x10);
  made = _mm_insert_ps(made, _mm_load_ss(source + offsets[2]), 0x20);
  return _mm_insert_ps(made, _mm_load_ss(source + offsets[3]), 0x30);
}

NETSURGERY_INLINE __m256 eight_of(const float* source, const std::int32_t* offsets) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(four_of(source, offsets)), four_of(source, offsets + 4), 1);
}
#endif

static void pick(const Picks& given) {
  const Picks picks = given;
  const float* source = picks.source;
  float* target = picks.target;
  for (std::ptrdiff_t c = 0; c < picks.channels; ++c, source += picks.source_channel, target += picks.target_channel) {
    std::ptrdiff_t i = 0;
#if defined(__AVX2__)
    for (; i + kLanes <= picks.count; i += kLanes) {
      const std::uint16_t inside = picks.inside[i / kLanes];
      const __m256 low = eight_of(source, picks.offsets + i), high = eight_of(source, picks.offsets + i + 8);
#if defined(__AVX512F__)
      const __m512 made = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
      _mm512_storeu_ps(target + i, _mm512_mask_blend_ps(inside, _mm512_set1_ps(picks.outside), made));
#else
      _mm256_storeu_ps(target + i, low);
      _mm256_storeu_ps(target + i + 8, high);
      if (inside != 0xffff)
        for (int l = 0; l < kLanes; ++l)
          if (!(inside >> l & 1)) target[i + l] = picks.outside;
#endif
    }
#endif
    for (; i < picks.count; ++i)
      target[i] = picks.inside[i / kLanes] >> i % kLanes & 1 ? source[picks.offsets[i]] : picks.outside;
  }
}

#if defined(__AVX512F__)
template <int kCount, class Entry>
NETSURGERY_INLINE void pick_from(const VectorPicks<Entry>& work, const VectorPick<Entry>& one) {
  constexpr bool kFloats = sizeof(Entry) == 4;
  __m512i lanes[kCount + 1], outside;
  __mmask32 inside[kCount + 1];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    lanes[i] = _mm512_load_si512(one.lanes[i]);
    inside[i] = kFloats ? _mm512_cmpge_epi32_mask(lanes[i], _mm512_setzero_si512())
                        : _mm512_cmpge_epi16_mask(lanes[i], _mm512_setzero_si512());
  }
  if constexpr (kFloats)
    outside = _mm512_castps_si512(_mm512_set1_ps(work.outside));
  else
    outside = _mm512_set1_epi16(work.outside);
  const Entry* input = work.input;
  Entry* output = work.output + one.target;
  for (std::ptrdiff_t c = 0; c < work.channels; ++c, input += work.input_channel, output += work.output_channel) {
    __m512i made = outside;
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) {
      const __m512i source = _mm512_load_si512(input + one.sources[i]);
      if constexpr (kFloats)
        made = _mm512_mask_permutexvar_epi32(made, static_cast<__mmask16>(inside[i]), lanes[i], source);
      else
        made = _mm512_mask_permutexvar_epi16(made, inside[i], lanes[i], source);
    }
    _mm512_store_si512(output, made);
  }
}

template <class Entry>
static void pick_vectors(const VectorPicks<Entry>& given) {
  const VectorPicks<Entry> work = given;
  constexpr void (*of_count[])(const VectorPicks<Entry>&, const VectorPick<Entry>&) = {
      pick_from<0, Entry>, pick_from<1, Entry>, pick_from<2, Entry>, pick_from<3, Entry>, pick_from<4, Entry>,
      pick_from<5, Entry>, pick_from<6, Entry>, pick_from<7, Entry>, pick_from<8, Entry>};
  for (std::ptrdiff_t i = 0; i < work.count; ++i) of_count[work.picked[i].count](work, work.picked[i]);
}

template <class Entry>
constexpr void (*kPickVectors)(const VectorPicks<Entry>&) = pick_vectors<Entry>;
#else
template <class Entry>
constexpr void (*kPickVectors)(const VectorPicks<Entry>&) = nullptr;
#endif

static void interleave_lanes(const float* const* lanes, std::ptrdiff_t columns, float* target) {
  std::ptrdiff_t column = 0;
#if defined(__AVX512F__)
  for (; column < columns; column += 16) {
    const std::ptrdiff_t left = columns - column < 16 ? columns - column : 16;
    const __mmask16 there = static_cast<__mmask16>((1u << left) - 1);
    __m512 row[16];
#pragma GCC unroll 16
    for (int l = 0; l < 16; ++l) row[l] = _mm512_maskz_loadu_ps(there, lanes[l] + column);
    transpose(row);
#pragma GCC unroll 16
    for (int x = 0; x < 16; ++x)
      if (x < left) _mm512_store_ps(target + (column + x) * kLanes, row[x]);
  }
#else
#if defined(__AVX2__)
  for (; column + 8 <= columns; column += 8)
    for (int first = 0; first < kLanes; first += 8) {
      __m256 row[8];
#pragma GCC unroll 8
      for (int l = 0; l < 8; ++l) row[l] = _mm256_loadu_ps(lanes[first + l] + column);
      transpose(row);
#pragma GCC unroll 8
      for (int x = 0; x < 8; ++x) _mm256_store_ps(target + (column + x) * kLanes + first, row[x]);
    }
#endif
  for (; column < columns; ++column)
    for (int l = 0; l < kLanes; ++l) target[column * kLanes + l] = lanes[l][column];
#endif
}

static void separate_lanes(const float* source, std::ptrdiff_t columns, const std::ptrdiff_t* counts,
                           float* const* lanes) {
  std::ptrdiff_t column = 0;
#if defined(__AVX512F__)
  for (; column < columns; column += 16) {
    const std::ptrdiff_t left = columns - column < 16 ? columns - column : 16;
    __m512 row[16];
#pragma GCC unroll 16
    for (int x = 0; x < 16; ++x)
      row[x] = x < left ? _mm512_load_ps(source + (column + x) * kLanes) : _mm512_setzero_ps();
    transpose(row);
#pragma GCC unroll 16
    for (int l = 0; l < 16; ++l) {
      const std::ptrdiff_t wanted = lanes[l] ? counts[l] - column : 0;
      if (wanted <= 0) continue;
      const __mmask16 there = static_cast<__mmask16>(wanted >= 16 ? 0xffff : (1u << wanted) - 1);
      _mm512_mask_storeu_ps(lanes[l] + column, there, row[l]);
    }
  }
#else
#if defined(__AVX2__)
  for (; column + 8 <= columns; column += 8)
    for (int first = 0; first < kLanes; first += 8) {
      __m256 row[8];
#pragma GCC unroll 8
      for (int x = 0; x < 8; ++x) row[x] = _mm256_load_ps(source + (column + x) * kLanes + first);
      transpose(row);
#pragma GCC unroll 8
      for (int l = 0; l < 8; ++l)
        if (lanes[first + l] && counts[first + l] >= column + 8) _mm256_storeu_ps(lanes[first + l] + column, row[l]);
    }
  const std::ptrdiff_t whole = column;
#else
  const std::ptrdiff_t whole = 0;
#endif
  for (int l = 0; l < kLanes; ++l) {
    const std::ptrdiff_t end = !lanes[l] ? 0 : counts[l] < columns ? counts[l] : columns;
    for (column = end < whole ? end / 8 * 8 : whole; column < end; ++column)
      lanes[l][column] = source[column * kLanes + l];
  }
#endif
}

static void turn(const float* source, std::ptrdiff_t source_row, std::ptrdiff_t rows, std::ptrdiff_t columns,
                 float* target, std::ptrdiff_t target_row) {
#if defined(__AVX512F__)
  for (std::ptrdiff_t top = 0; top < rows; top += 16) {
    const std::ptrdiff_t height = rows - top < 16 ? rows - top : 16;
    const __mmask16 of_rows = static_cast<__mmask16>((1u << height) - 1);
    for (std::ptrdiff_t left = 0; left < columns; left += 16) {
      const std::ptrdiff_t width = columns - left < 16 ? columns - left : 16;
      const __mmask16 of_columns = static_cast<__mmask16>((1u << width) - 1);
      const float* from = source + top * source_row + left;
      float* to = target + left * target_row + top;
      __m512 row[16];
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r)
        row[r] = r < height ? _mm512_maskz_loadu_ps(of_columns, from + r * source_row) : _mm512_setzero_ps();
      transpose(row);
#pragma GCC unroll 16
      for (int c = 0; c < 16; ++c)
        if (c < width) _mm512_mask_storeu_ps(to + c * target_row, of_rows, row[c]);
    }
  }
#else
  constexpr std::ptrdiff_t kSide = 8;
  for (std::ptrdiff_t top = 0; top < rows; top += kSide)
    for (std::ptrdiff_t left = 0; left < columns; left += kSide) {
      const std::ptrdiff_t height = rows - top < kSide ? rows - top : kSide;
      const std::ptrdiff_t width = columns - left < kSide ? columns - left : kSide;
      const float* from = source + top * source_row + left;
      float* to = target + left * target_row + top;
#if defined(__AVX2__)
      if (height == kSide && width == kSide) {
        __m256 row[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; ++r) row[r] = _mm256_loadu_ps(from + r * source_row);
        transpose(row);
#pragma GCC unroll 8
        for (int c = 0; c < 8; ++c) _mm256_storeu_ps(to + c * target_row, row[c]);
        continue;
      }
#endif
      for (std::ptrdiff_t c = 0; c < width; ++c)
        for (std::ptrdiff_t r = 0; r < height; ++r) to[c * target_row + r] = from[r * source_row + c];
    }
#endif
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
