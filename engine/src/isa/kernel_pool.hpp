// Windows: their maxima or averages.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// kTaps: on both sides of a window of one slice, 0 if only the row knows.
template <int kColumns, bool kAverage, int kTaps>
NETSURGERY_INLINE void pool_strip(const PoolRow& row, const float* input, float* output, const float* divisors) {
  const std::ptrdiff_t taps_z = kTaps ? 1 : row.taps_z;
  const std::ptrdiff_t taps_y = kTaps ? kTaps : row.taps_y, taps_x = kTaps ? kTaps : row.taps_x;
  Vector best[kColumns];
  for (int c = 0; c < kColumns; ++c) best[c] = load(input + c * row.input_column);
  for (std::ptrdiff_t z = 0; z < taps_z; ++z)
    for (std::ptrdiff_t y = 0; y < taps_y; ++y)
      for (std::ptrdiff_t x = z == 0 && y == 0 ? 1 : 0; x < taps_x; ++x) {
        const float* tap = input + z * row.tap_slice + y * row.tap_row + x * row.tap_column;
        for (int c = 0; c < kColumns; ++c) {
          const Vector seen = load(tap + c * row.input_column);
          best[c] = kAverage ? best[c] + seen : maximum(best[c], seen);
        }
      }
  for (int c = 0; c < kColumns; ++c) {
    if (kAverage) {
      const Vector divisor = load(divisors + c * kLanes);
      for (int i = 0; i < kParts; ++i) best[c].part[i] = best[c].part[i] / divisor.part[i];
    }
    store(output + c * kLanes, best[c]);
  }
}

template <bool kAverage, int kTaps>
NETSURGERY_INLINE void pool_columns(const PoolRow& row) {
  std::ptrdiff_t column = 0;
  const auto at = [&](std::ptrdiff_t c) { return row.input + c * row.input_column; };
  const auto divisors = [&](std::ptrdiff_t c) { return kAverage ? row.divisors + c * kLanes : nullptr; };
  for (; column + 4 <= row.columns; column += 4)
    pool_strip<4, kAverage, kTaps>(row, at(column), row.output + column * kLanes, divisors(column));
  for (; column + 2 <= row.columns; column += 2)
    pool_strip<2, kAverage, kTaps>(row, at(column), row.output + column * kLanes, divisors(column));
  if (column < row.columns)
    pool_strip<1, kAverage, kTaps>(row, at(column), row.output + column * kLanes, divisors(column));
}

constexpr int kPooledAtOnce = 8, kMostSeen = 32;  // windows; columns that they see

/// Each column that some windows see is pooled once, and the windows from those.
template <bool kAverage>
NETSURGERY_INLINE void pool_separably(const PoolRow& row) {
  const auto pooled = [](const Vector& a, const Vector& b) { return kAverage ? a + b : maximum(a, b); };
  const std::ptrdiff_t step = row.input_column / kLanes;
  alignas(64) float seen[kMostSeen * kLanes];
  for (std::ptrdiff_t first = 0; first < row.columns; first += kPooledAtOnce) {
    const std::ptrdiff_t count = row.columns - first < kPooledAtOnce ? row.columns - first : kPooledAtOnce;
    const float* const input = row.input + first * row.input_column;
    for (std::ptrdiff_t x = 0; x < (count - 1) * step + row.taps_x; ++x) {
      Vector best = load(input + x * kLanes);
      for (std::ptrdiff_t z = 0; z < row.taps_z; ++z)
        for (std::ptrdiff_t y = z == 0 ? 1 : 0; y < row.taps_y; ++y)
          best = pooled(best, load(input + z * row.tap_slice + y * row.tap_row + x * kLanes));
      store(seen + x * kLanes, best);
    }
    for (std::ptrdiff_t c = 0; c < count; ++c) {
      Vector best = load(seen + c * row.input_column);
      for (std::ptrdiff_t x = 1; x < row.taps_x; ++x)
        best = pooled(best, load(seen + c * row.input_column + x * kLanes));
      if (kAverage) best = best / load(row.divisors + (first + c) * kLanes);
      store(row.output + (first + c) * kLanes, best);
    }
  }
}

NETSURGERY_INLINE bool is_separable(const PoolRow& row) {
  const std::ptrdiff_t seen = (kPooledAtOnce - 1) * (row.input_column / kLanes) + row.taps_x;
  const std::ptrdiff_t down = row.taps_z * row.taps_y;
  const bool pays = down * seen + row.taps_x * kPooledAtOnce < down * row.taps_x * kPooledAtOnce;
  return row.tap_column == kLanes && seen <= kMostSeen && pays;
}

/// Channel by channel.
template <class OfChannel>
NETSURGERY_INLINE void pool_channels(PoolRow row, OfChannel of_channel) {
  for (std::ptrdiff_t c = 0; c < row.channels; ++c) {
    of_channel(row);
    row.input += row.input_channel;
    row.output += row.output_channel;
  }
}

static void pool_row(const PoolRow& row) {
  constexpr std::ptrdiff_t kFew = 4;  // columns that are as fast to pool one by one, all taps unrolled
  const auto is_square = [&row](std::ptrdiff_t taps) {
    return row.taps_z == 1 && row.taps_y == taps && row.taps_x == taps;
  };
  if (!row.divisors && is_square(3) && row.columns < kFew)
    return pool_channels(row, [](const PoolRow& one) { pool_columns<false, 3>(one); });
  if (is_separable(row))
    return row.divisors ? pool_channels(row, [](const PoolRow& one) { pool_separably<true>(one); })
                        : pool_channels(row, [](const PoolRow& one) { pool_separably<false>(one); });
  if (row.divisors) return pool_channels(row, [](const PoolRow& one) { pool_columns<true, 0>(one); });
  if (is_square(2)) return pool_channels(row, [](const PoolRow& one) { pool_columns<false, 2>(one); });
  if (is_square(3)) return pool_channels(row, [](const PoolRow& one) { pool_columns<false, 3>(one); });
  pool_channels(row, [](const PoolRow& one) { pool_columns<false, 0>(one); });
}

/// A lane that is no pixel counts 0, NaN too.
NETSURGERY_INLINE Vector load_inside(const float* at, const std::uint32_t* inside) {
  Vector seen = load(at);
  if (!inside) return seen;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i)
    seen.part[i] = as_floats(as_bits(seen.part[i]) & reinterpret_cast<const NativeBits*>(inside)[i]);
  return seen;
}

/// Up to four neighbours are added as floats, their sums as doubles: these are what takes time.
static void sum_lanes(const LaneSums& given) {
  const LaneSums work = given;
  for (std::ptrdiff_t c = 0; c < work.channels; ++c) {
    const std::uint32_t* inside = work.inside;
    Doubles total{};
    for (std::ptrdiff_t y = 0; y < work.rows; ++y) {
      const float* at = work.input + c * work.channel + y * work.row;
      const auto next = [&] {
        const Vector seen = load_inside(at, inside);
        at += kLanes;
        if (inside) inside += kLanes;
        return seen;
      };
      std::ptrdiff_t left = work.columns;
      for (; left >= 4; left -= 4) {
        const Vector first = next() + next(), second = next() + next();
        total = total + widened(first + second);
      }
      if (left == 0) continue;
      Vector last = next();
      while (--left > 0) last = last + next();
      total = total + widened(last);
    }
    NativeDoubles* const sums = reinterpret_cast<NativeDoubles*>(work.sums + c * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kWideParts; ++i) sums[i] = work.adds ? sums[i] + total.part[i] : total.part[i];
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
