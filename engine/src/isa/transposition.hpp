// Squares of floats, transposed in registers, where an instruction set has what that takes.
#pragma once

#include "isa/simd.hpp"

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC's own header, bug 105593
#endif

namespace netsurgery {
namespace NETSURGERY_SET {

#if defined(__AVX512F__)
/// 16 vectors as rows of a matrix, transposed: floats within blocks of 2 x 2, then pairs, then quarters and halves.
NETSURGERY_INLINE void transpose(__m512 (&row)[16]) {
  __m512 pairs[16], fours[16], eights[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    pairs[2 * i] = _mm512_unpacklo_ps(row[2 * i], row[2 * i + 1]);
    pairs[2 * i + 1] = _mm512_unpackhi_ps(row[2 * i], row[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const __m512d a = _mm512_castps_pd(pairs[4 * i + j]), b = _mm512_castps_pd(pairs[4 * i + 2 + j]);
      fours[4 * i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      fours[4 * i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      eights[8 * i + j] = _mm512_shuffle_f32x4(fours[8 * i + j], fours[8 * i + 4 + j], 0x88);
      eights[8 * i + 4 + j] = _mm512_shuffle_f32x4(fours[8 * i + j], fours[8 * i + 4 + j], 0xdd);
    }
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) {
    row[j] = _mm512_shuffle_f32x4(eights[j], eights[8 + j], 0x88);
    row[8 + j] = _mm512_shuffle_f32x4(eights[j], eights[8 + j], 0xdd);
  }
}
#elif defined(__AVX2__)
/// Eight rows of eight, transposed: floats within blocks of 2 x 2, then pairs, then halves.
NETSURGERY_INLINE void transpose(__m256 (&row)[8]) {
  __m256 pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm256_unpacklo_ps(row[2 * i], row[2 * i + 1]);
    pairs[2 * i + 1] = _mm256_unpackhi_ps(row[2 * i], row[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      fours[4 * i + 2 * j] = _mm256_shuffle_ps(pairs[4 * i + j], pairs[4 * i + 2 + j], 0x44);
      fours[4 * i + 2 * j + 1] = _mm256_shuffle_ps(pairs[4 * i + j], pairs[4 * i + 2 + j], 0xee);
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    row[j] = _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x20);
    row[4 + j] = _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x31);
  }
}
#endif

#if defined(__AVX2__)
constexpr double kTurningCycles = 90;  // to load, transpose and store 16 x 16, roughly
#else
constexpr double kTurningCycles = 600;
#endif

/// 16 rows of 16 floats, unaligned, as the vectors of their columns.
NETSURGERY_INLINE void transposed(const float* const (&rows)[kLanes], Vector (&columns)[kLanes]) {
#if defined(__AVX512F__)
  __m512 row[16];
#pragma GCC unroll 16
  for (int l = 0; l < 16; ++l) row[l] = _mm512_loadu_ps(rows[l]);
  transpose(row);
#pragma GCC unroll 16
  for (int c = 0; c < 16; ++c) columns[c].part[0] = row[c];
#elif defined(__AVX2__)
#pragma GCC unroll 2
  for (int part = 0; part < 2; ++part)
#pragma GCC unroll 2
    for (int first = 0; first < 16; first += 8) {
      __m256 row[8];
#pragma GCC unroll 8
      for (int l = 0; l < 8; ++l) row[l] = _mm256_loadu_ps(rows[8 * part + l] + first);
      transpose(row);
#pragma GCC unroll 8
      for (int c = 0; c < 8; ++c) columns[first + c].part[part] = row[c];
    }
#else
  alignas(64) float lanes[kLanes][kLanes];
  for (int l = 0; l < kLanes; ++l)
    for (int c = 0; c < kLanes; ++c) lanes[c][l] = rows[l][c];
  for (int c = 0; c < kLanes; ++c) columns[c] = load(lanes[c]);
#endif
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
