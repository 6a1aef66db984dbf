// A matrix product whose sums stay in registers: each vector of b that is loaded serves several rows, each number of a
// several vectors.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

#if defined(__AVX512F__)
constexpr int kProductVectors = 4;
#else
constexpr int kProductVectors = 1;
#endif

/// Rows of a tile of so many vectors, when those of a lie side by side: their sums, the vectors of b and a number of a
/// fill the registers.
constexpr int tile_rows(int vectors) {
#if defined(__AVX512F__)
  return vectors <= 2 ? 12 : 6;
#else
  return vectors <= 1 && kRegisters / kParts >= 8 ? 6 : 2;
#endif
}

/// Sums of rows x vectors; a_row is 1 if kSideBySide.
template <int kRows, int kVectors, bool kSideBySide>
NETSURGERY_INLINE void tile(const Product& product, std::ptrdiff_t row, std::ptrdiff_t vector) {
  Vector sums[kRows][kVectors];
  float* const output = product.output + row * product.output_row + vector * kLanes;
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) {
      if (product.bias)
        sums[r][v] = broadcast(product.bias[row + r]);
      else if (product.goes_on)
        sums[r][v] = load_unaligned(output + r * product.output_row + v * kLanes);
      else
        sums[r][v] = broadcast(0.0f);
    }
  const std::ptrdiff_t a_row = kSideBySide ? 1 : product.a_row, a_step = product.a_step, b_step = product.b_step;
  const float* a = product.a + row * a_row;
  const float* b = product.b + vector * kLanes;
  for (std::ptrdiff_t k = 0; k < product.depth; ++k, a += a_step, b += b_step) {
    Vector seen[kVectors];
    for (int v = 0; v < kVectors; ++v) seen[v] = load_unaligned(b + v * kLanes);
    for (int r = 0; r < kRows; ++r) {
      const Vector number = broadcast(a[r * a_row]);
      for (int v = 0; v < kVectors; ++v) sums[r][v] = multiply_add(number, seen[v], sums[r][v]);
    }
  }
  if (product.last) {
    const Finish& finish = product.finish;
    if (finish.residual) {
      const float* residual = finish.residual + row * finish.residual_row + vector * kLanes;
      for (int r = 0; r < kRows; ++r)
        for (int v = 0; v < kVectors; ++v)
          sums[r][v] = sums[r][v] + load_unaligned(residual + r * finish.residual_row + v * kLanes);
    }
    if (finish.clips) {
      const Vector low = broadcast(finish.low), high = broadcast(finish.high);
      for (int r = 0; r < kRows; ++r)
        for (int v = 0; v < kVectors; ++v) sums[r][v] = at_most(high, at_least(low, sums[r][v]));
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) store_unaligned(output + r * product.output_row + v * kLanes, sums[r][v]);
}

template <int kRows, int kVectors, bool kSideBySide>
NETSURGERY_INLINE void tiles(const Product& product, std::ptrdiff_t& row, std::ptrdiff_t vector) {
  if constexpr (kRows <= tile_rows(kVectors) && (kSideBySide || kRows <= 6))
    for (; row + kRows <= product.rows; row += kRows) tile<kRows, kVectors, kSideBySide>(product, row, vector);
}

template <int kVectors, bool kSideBySide>
static void columns_of_tiles(const Product& product, std::ptrdiff_t vector) {
  std::ptrdiff_t row = 0;
  tiles<12, kVectors, kSideBySide>(product, row, vector);
  tiles<6, kVectors, kSideBySide>(product, row, vector);
  tiles<3, kVectors, kSideBySide>(product, row, vector);
  tiles<2, kVectors, kSideBySide>(product, row, vector);
  tiles<1, kVectors, kSideBySide>(product, row, vector);
}

template <bool kSideBySide>
NETSURGERY_INLINE void all_tiles(const Product& product) {
  const std::ptrdiff_t strips = (product.vectors + kProductVectors - 1) / kProductVectors;
  std::ptrdiff_t vector = 0;
  for (std::ptrdiff_t strip = 1; strip <= strips; ++strip) {
    const std::ptrdiff_t end = product.vectors * strip / strips, width = end - vector;
    if (width == 1) columns_of_tiles<1, kSideBySide>(product, vector);
    if constexpr (kProductVectors > 1) {
      if (width == 2) columns_of_tiles<2, kSideBySide>(product, vector);
      if (width == 3) columns_of_tiles<3, kSideBySide>(product, vector);
      if (width == 4) columns_of_tiles<4, kSideBySide>(product, vector);
    }
    vector = end;
  }
}

static void product(const Product& given) {
  const Product one = given;
  if (one.a_row == 1)
    all_tiles<true>(one);
  else
    all_tiles<false>(one);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
