// A matrix times one vector: fully connected layers at batch 1.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

template <class Rows>
NETSURGERY_INLINE float clipped(const Rows& rows, float sum) {
  if (!rows.clips) return sum;
  sum = rows.low > sum ? rows.low : sum;
  return rows.high < sum ? rows.high : sum;
}

struct FloatWeights {
  const float* values;
  NETSURGERY_INLINE float at(std::size_t i) const { return values[i]; }
};

struct CodedWeights {
  const std::uint8_t* codes;
  const float* codebook;
  NETSURGERY_INLINE float at(std::size_t i) const { return codebook[codes[i]]; }
};

/// A load per weight, one per column and one per input keep the load units busy; gathers are no faster.
template <class Weights, class Column>
NETSURGERY_INLINE void multiply_rows(const SparseRows& rows, const Weights weights, const Column* columns) {
  const float* const input = rows.input;
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    std::size_t i = rows.starts[row];
    const std::size_t stop = rows.starts[row + 1];
    float a = rows.bias ? rows.bias[row] : 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;  // four chains hide the latency
    for (; i + 4 <= stop; i += 4) {
      a += weights.at(i) * input[columns[i]];
      b += weights.at(i + 1) * input[columns[i + 1]];
      c += weights.at(i + 2) * input[columns[i + 2]];
      d += weights.at(i + 3) * input[columns[i + 3]];
    }
    for (; i < stop; ++i) a += weights.at(i) * input[columns[i]];
    rows.output[row] = clipped(rows, (a + b) + (c + d));
  }
}

template <class Weights>
NETSURGERY_INLINE void multiply_rows(const SparseRows& rows, const Weights weights) {
  if (rows.columns16)
    multiply_rows(rows, weights, rows.columns16);
  else
    multiply_rows(rows, weights, rows.columns32);
}

static void sparse_rows(const SparseRows& given) {
  const SparseRows rows = given;
  if (rows.codes)
    multiply_rows(rows, CodedWeights{rows.codes, rows.codebook});
  else
    multiply_rows(rows, FloatWeights{rows.values});
}

NETSURGERY_INLINE float total(const Vector& sums) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(sums.part[0]);
#elif defined(__AVX2__)
  const __m256 pairs = sums.part[0] + sums.part[1];
  const __m128 four = _mm256_castps256_ps128(pairs) + _mm256_extractf128_ps(pairs, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(two + _mm_movehdup_ps(two));
#else
  alignas(64) float lanes[kLanes];
  store(lanes, sums);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
#endif
}

constexpr int kRowsTogether = kParts == 1 ? 4 : 2;  // as many as there are registers for
constexpr int kRowChains = 2;                       // of sums in each row, which hide the latency

/// Some rows times the input, each vector of which is loaded once for all of them. What a row gives doesn't depend on
/// those beside it.
template <int kRows>
NETSURGERY_INLINE void multiply_dense(const DenseRows& rows, std::ptrdiff_t first) {
  const float* const weights = rows.weights + first * rows.inputs;
  const float* const next = weights + kRows * rows.inputs;  // processors don't follow so many rows from one to the next
  Vector sums[kRows][kRowChains];
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row)
    for (int chain = 0; chain < kRowChains; ++chain) sums[row][chain] = broadcast(0.0f);
  std::ptrdiff_t i = 0;
  for (; i + kRowChains * kLanes <= rows.inputs; i += kRowChains * kLanes) {
#pragma GCC unroll 8
    for (int chain = 0; chain < kRowChains; ++chain) {
      const std::ptrdiff_t at = i + chain * kLanes;
      const Vector x = load_unaligned(rows.input + at);
#pragma GCC unroll 8
      for (int row = 0; row < kRows; ++row) {
        __builtin_prefetch(next + row * rows.inputs + at, 0, 2);
        sums[row][chain] = multiply_add(load_unaligned(weights + row * rows.inputs + at), x, sums[row][chain]);
      }
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < kRows; ++row) {
    float sum = total(sums[row][0] + sums[row][1]);
    for (std::ptrdiff_t rest = i; rest < rows.inputs; ++rest)
      sum += weights[row * rows.inputs + rest] * rows.input[rest];
    if (rows.bias) sum += rows.bias[first + row];
    rows.output[first + row] = clipped(rows, sum);
  }
}

static void dense_rows(const DenseRows& given) {
  const DenseRows rows = given;
  std::ptrdiff_t row = 0;
  for (; row + kRowsTogether <= rows.rows; row += kRowsTogether) multiply_dense<kRowsTogether>(rows, row);
  for (; row < rows.rows; ++row) multiply_dense<1>(rows, row);
}

constexpr int kVectorsSideBySide = kParts == 1 ? 8 : kParts == 2 ? 4 : 2;  // eight chains of sums hide the latency

template <int kVectors>
static void multiply_block(const SideBySideRows& rows, const float* weights, float* sums) {
  Vector total[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) total[v] = load(sums + v * kLanes);
  for (std::ptrdiff_t i = 0; i < rows.inputs; ++i, weights += kVectors * kLanes) {
    const Vector x = broadcast(rows.input[i]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) total[v] = multiply_add(load(weights + v * kLanes), x, total[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) store(sums + v * kLanes, total[v]);
}

/// A block of so many vectors, at most kMost.
template <int kMost>
static void multiply_block_of(std::ptrdiff_t vectors, const SideBySideRows& rows, const float* weights, float* sums) {
  if constexpr (kMost > 1)
    if (vectors < kMost) return multiply_block_of<kMost - 1>(vectors, rows, weights, sums);
  multiply_block<kMost>(rows, weights, sums);
}

static void side_by_side_rows(const SideBySideRows& given) {
  const SideBySideRows rows = given;
  const std::ptrdiff_t blocks = (rows.vectors + kVectorsSideBySide - 1) / kVectorsSideBySide;
  for (std::ptrdiff_t i = 0; i < blocks; ++i) {
    const std::ptrdiff_t first = (rows.backwards ? blocks - 1 - i : i) * kVectorsSideBySide;
    multiply_block_of<kVectorsSideBySide>(rows.vectors - first, rows, rows.weights + first * kLanes * rows.inputs,
                                          rows.sums + first * kLanes);
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
