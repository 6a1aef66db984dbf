// Whole numbers of 16 bits in and out of vectors, and the largest of those in a window.
#pragma once

#include "isa/shorts.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// The bytes of a lane of 16 bits, counted from where `lane` counts from: for instructions that look up bytes.
NETSURGERY_INLINE NativeShorts bytes_of_lanes(NativeShorts lane) { return lane * 0x0202 + 0x0100; }

/// Lanes of one shuffle, as an instruction set wants them: kept for all channels.
#if defined(__AVX512F__)
struct ShuffledLanes {
  __m512i lane, beyond;
  __mmask32 inside;

  ShuffledLanes(const FixedShuffle& one, std::int16_t outside)
      : lane(_mm512_load_si512(one.lane)),
        beyond(_mm512_set1_epi16(outside)),
        inside(_mm512_cmpge_epi16_mask(lane, _mm512_setzero_si512())) {}

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target, std::ptrdiff_t channels,
                                    std::ptrdiff_t channel) const {
    for (std::ptrdiff_t c = 0; c < channels; ++c, source += channel, target += channel)
      _mm512_store_si512(target, _mm512_mask_permutexvar_epi16(beyond, inside, lane, _mm512_load_si512(source)));
  }
};
#elif defined(__AVX2__)
/// Bytes are looked up in 16 of them at a time: in a pass, each quarter of the target sees one of the source.
class ShuffledLanes {
 public:
  ShuffledLanes(const FixedShuffle& one, std::int16_t outside) {
    const NativeShorts* const lanes = reinterpret_cast<const NativeShorts*>(one.lane);
    for (int half = 0; half < 2; ++half) {
      const NativeShorts none = (lanes[half] < 0) & outside;
      beyond[half] = reinterpret_cast<const __m256i&>(none);
    }
    unsigned left[4];
    for (int i = 0; i < 4; ++i) left[i] = one.quarters[i];
    do {
      for (int half = 0; half < 2; ++half) {
        std::int16_t first[2];
        for (int i = 0; i < 2; ++i) {
          unsigned& bits = left[2 * half + i];
          const int place = 8 * __builtin_ctz(bits | 1u << 4);  // none is beyond all lanes
          first[i] = static_cast<std::int16_t>(place);
          begins[half][count][i] = place % kShorts;
          bits &= bits - (bits != 0);
        }
        const __m256i from = _mm256_set_m128i(_mm_set1_epi16(first[1]), _mm_set1_epi16(first[0]));
        const NativeShorts at = lanes[half] - reinterpret_cast<const NativeShorts&>(from);
        const NativeShorts none = (at < 0) | (at > 7);
        const NativeShorts bytes = bytes_of_lanes(at) | (none & static_cast<std::int16_t>(0x8080));
        places[half][count] = reinterpret_cast<const __m256i&>(bytes);
      }
      ++count;
    } while ((left[0] | left[1] | left[2] | left[3]) != 0);
  }

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target, std::ptrdiff_t channels,
                                    std::ptrdiff_t channel) const {
    if (count == 1)
      move<1>(source, target, channels, channel);
    else if (count == 2)
      move<2>(source, target, channels, channel);
    else if (count == 3)
      move<3>(source, target, channels, channel);
    else
      move<4>(source, target, channels, channel);
  }

 private:
  template <int kPasses>
  NETSURGERY_INLINE void move(const std::int16_t* source, std::int16_t* target, std::ptrdiff_t channels,
                              std::ptrdiff_t channel) const {
    const auto quarter = [](const std::int16_t* at) { return _mm_load_si128(reinterpret_cast<const __m128i*>(at)); };
    __m256i at[2][kPasses];
    std::ptrdiff_t first[2][kPasses][2];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half)
#pragma GCC unroll 4
      for (int i = 0; i < kPasses; ++i) {
        at[half][i] = places[half][i];
        for (int k = 0; k < 2; ++k) first[half][i][k] = begins[half][i][k];
      }
    const __m256i outside[2] = {beyond[0], beyond[1]};
    for (std::ptrdiff_t c = 0; c < channels; ++c, source += channel, target += channel)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        __m256i made = outside[half];
#pragma GCC unroll 4
        for (int i = 0; i < kPasses; ++i)
          made = _mm256_or_si256(made, _mm256_shuffle_epi8(_mm256_set_m128i(quarter(source + first[half][i][1]),
                                                                            quarter(source + first[half][i][0])),
                                                           at[half][i]));
        _mm256_store_si256(reinterpret_cast<__m256i*>(target + 16 * half), made);
      }
  }

  __m256i places[2][4], beyond[2];  // of each half
  std::ptrdiff_t begins[2][4][2];   // of the quarters of the source that a half's quarters see
  int count = 0;
};
#elif defined(__aarch64__)
struct ShuffledLanes {
  uint8x16_t places[4], beyond[4];  // a lane of -1 looks beyond the table, which gives 0

  ShuffledLanes(const FixedShuffle& one, std::int16_t outside) {
    for (int i = 0; i < 4; ++i) {
      const NativeShorts lane = reinterpret_cast<const NativeShorts*>(one.lane)[i];
      places[i] = reinterpret_cast<uint8x16_t>(bytes_of_lanes(lane));
      beyond[i] = reinterpret_cast<uint8x16_t>((lane < 0) & outside);
    }
  }

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target, std::ptrdiff_t channels,
                                    std::ptrdiff_t channel) const {
    for (std::ptrdiff_t c = 0; c < channels; ++c, source += channel, target += channel) {
      const uint8x16x4_t table = vld1q_u8_x4(reinterpret_cast<const std::uint8_t*>(source));
      for (int i = 0; i < 4; ++i)
        vst1q_u8(reinterpret_cast<std::uint8_t*>(target + 8 * i), vorrq_u8(vqtbl4q_u8(table, places[i]), beyond[i]));
    }
  }
};
#else
struct ShuffledLanes {
  const std::int16_t* lane;
  std::int16_t outside;

  ShuffledLanes(const FixedShuffle& one, std::int16_t beyond) : lane(one.lane), outside(beyond) {}

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target, std::ptrdiff_t channels,
                                    std::ptrdiff_t channel) const {
    for (std::ptrdiff_t c = 0; c < channels; ++c, source += channel, target += channel) {
      std::int16_t made[kShorts];
      for (int l = 0; l < kShorts; ++l) made[l] = lane[l] < 0 ? outside : source[lane[l]];
      std::memcpy(target, made, sizeof made);
    }
  }
};
#endif

/// Lanes of a halo's vectors from wherever they lie.
static void fixed_shuffle(std::int16_t* memory, std::ptrdiff_t channels, std::ptrdiff_t channel,
                          const FixedShuffle* shuffles, std::ptrdiff_t count, std::int16_t outside) {
  for (std::ptrdiff_t i = 0; i < count; ++i)
    ShuffledLanes(shuffles[i], outside)(memory + shuffles[i].source, memory + shuffles[i].target, channels, channel);
}

#if defined(__AVX2__) || defined(__aarch64__)
#if defined(__AVX2__)
typedef __m128i Eight;  // whole numbers
NETSURGERY_INLINE Eight zipped_low(Eight a, Eight b) { return _mm_unpacklo_epi16(a, b); }
NETSURGERY_INLINE Eight zipped_high(Eight a, Eight b) { return _mm_unpackhi_epi16(a, b); }
#else
typedef int16x8_t Eight;
NETSURGERY_INLINE Eight zipped_low(Eight a, Eight b) { return vzip1q_s16(a, b); }
NETSURGERY_INLINE Eight zipped_high(Eight a, Eight b) { return vzip2q_s16(a, b); }
#endif

/// Each round moves the highest bit of a number's place to the lowest: three transpose 8 x 8.
template <int kCount, int kRounds>
NETSURGERY_INLINE void zip(Eight (&v)[kCount]) {
#pragma GCC unroll 3
  for (int round = 0; round < kRounds; ++round) {
    Eight made[kCount];
#pragma GCC unroll 4
    for (int i = 0; i < kCount / 2; ++i) {
      made[2 * i] = zipped_low(v[i], v[i + kCount / 2]);
      made[2 * i + 1] = zipped_high(v[i], v[i + kCount / 2]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) v[i] = made[i];
  }
}

/// Up to kColumns columns of eight lanes: 4 or 8 numbers of each lane are written.
template <int kColumns>
NETSURGERY_INLINE void separate_eight(const std::int16_t* source, std::ptrdiff_t columns, std::int16_t* target,
                                      const std::int32_t* places) {
  Eight v[kColumns];
#pragma GCC unroll 8
  for (int x = 0; x < kColumns; ++x) {
    v[x] = Eight{};
    if (x < columns) std::memcpy(&v[x], source + x * kShorts, sizeof v[x]);
  }
  zip<kColumns, kColumns == 8 ? 3 : 2>(v);
#pragma GCC unroll 8
  for (int l = 0; l < 8; ++l)
    std::memcpy(target + places[l], reinterpret_cast<const std::int16_t*>(&v[l * kColumns / 8]) + l * kColumns % 8,
                2 * kColumns);
}

template <int kColumns>
NETSURGERY_INLINE void interleave_eight(const std::int16_t* source, const std::int32_t* places, std::ptrdiff_t columns,
                                        std::int16_t* target) {
  Eight v[kColumns];
#pragma GCC unroll 8
  for (int l = 0; l < 8; ++l)
    std::memcpy(reinterpret_cast<std::int16_t*>(&v[l * kColumns / 8]) + l * kColumns % 8, source + places[l],
                2 * kColumns);
  zip<kColumns, 3>(v);
#pragma GCC unroll 8
  for (int x = 0; x < kColumns; ++x)
    if (x < columns) std::memcpy(target + x * kShorts, &v[x], sizeof v[x]);
}

/// of_eight(first column, columns, first lane) for all columns and lanes; what is no whole block comes first.
template <class OfEight>
NETSURGERY_INLINE void in_blocks(std::ptrdiff_t columns, OfEight&& of_eight) {
  const std::ptrdiff_t rest = columns % 8;
  if (rest > 0)
    for (int lane = 0; lane < kShorts; lane += 8) of_eight(columns - rest, rest, lane);
  for (std::ptrdiff_t x = 0; x + 8 <= columns; x += 8)
    for (int lane = 0; lane < kShorts; lane += 8) of_eight(x, 8, lane);
}

static void fixed_separate(const FixedRows& rows) {
  in_blocks(rows.columns, [&](std::ptrdiff_t x, std::ptrdiff_t count, int lane) {
    const std::int16_t* source = rows.vectors + x * kShorts + lane;
    if (count > 4)
      separate_eight<8>(source, count, rows.lanes + x, rows.places + lane);
    else
      separate_eight<4>(source, count, rows.lanes + x, rows.places + lane);
  });
}

static void fixed_interleave(const FixedRows& rows) {
  in_blocks(rows.columns, [&](std::ptrdiff_t x, std::ptrdiff_t count, int lane) {
    std::int16_t* target = rows.vectors + x * kShorts + lane;
    if (count > 4)
      interleave_eight<8>(rows.lanes + x, rows.places + lane, count, target);
    else
      interleave_eight<4>(rows.lanes + x, rows.places + lane, count, target);
  });
}
#else
static void fixed_separate(const FixedRows& rows) {
  for (int lane = 0; lane < kShorts; ++lane)
    for (std::ptrdiff_t x = 0; x < rows.columns; ++x)
      rows.lanes[rows.places[lane] + x] = rows.vectors[x * kShorts + lane];
}

static void fixed_interleave(const FixedRows& rows) {
  for (std::ptrdiff_t x = 0; x < rows.columns; ++x)
    for (int lane = 0; lane < kShorts; ++lane) rows.vectors[x * kShorts + lane] = rows.lanes[rows.places[lane] + x];
}
#endif

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

static void fixed_sum_lanes(const FixedSums& given) {
  const FixedSums work = given;
  for (std::ptrdiff_t c = 0; c < work.channels; ++c) {
    NativeInts total[kIntParts] = {};
    const std::int16_t* inside = work.inside;
    for (std::ptrdiff_t y = 0; y < work.rows; ++y) {
      const std::int16_t* at = work.input + c * work.channel + y * work.row;
      for (std::ptrdiff_t x = 0; x < work.columns; ++x, at += kShorts, inside += kShorts)
#pragma GCC unroll 16
        for (int i = 0; i < kIntParts; ++i)
          total[i] +=
              ints_of(reinterpret_cast<const HalfShorts*>(at)[i] & reinterpret_cast<const HalfShorts*>(inside)[i]);
    }
    NativeInts* const sums = reinterpret_cast<NativeInts*>(work.sums + c * kShorts);
#pragma GCC unroll 16
    for (int i = 0; i < kIntParts; ++i) sums[i] = work.adds ? sums[i] + total[i] : total[i];
  }
}

static void quantize_channels(const QuantizedChannels& given) {
  const QuantizedChannels work = given;
  const Native per_step = work.per_step - Native{}, step = work.step - Native{}, magic = kRounds - Native{};
  for (std::ptrdiff_t c = 0; c < work.channels; ++c) {
    const float* x = work.input + c * work.input_channel;
    float* y = work.output + c * work.output_channel;
    const Native scale = work.scale[c] - Native{}, shift = work.shift[c] - Native{};
    for (std::ptrdiff_t i = 0; i < work.count; i += kLanes) {
      Vector made = load(x + i);
      for (auto& part : made.part) {
        const Native count = rounded(rounded(rounded(part * scale) + shift) * per_step);
        part = (rounded(cut(count, work.low, work.high) + magic) - magic) * step;
      }
      store(y + i, made);
    }
  }
}

/// A native vector of whole numbers from floats, unaligned.
NETSURGERY_INLINE NativeShorts rounded_shorts(const float* x, Native times, float low, float high) {
  NativeInts both[2];
  for (int k = 0; k < 2; ++k) {
    Native seen;
    std::memcpy(&seen, x + k * (kShortsInPart / 2), sizeof seen);
    both[k] = on_grid(rounded(seen * times), low, high);
  }
  return narrowed_in_order(both);
}

static void fixed_from_floats(const float* source, std::ptrdiff_t count, float factor, float low, float high,
                              std::int16_t* target) {
  const Native times = factor - Native{};
  std::ptrdiff_t i = 0;
  for (; i + kShortsInPart <= count; i += kShortsInPart) {
    const NativeShorts made = rounded_shorts(source + i, times, low, high);
    std::memcpy(target + i, &made, sizeof made);
  }
  if (i == count) return;
  float rest[kShortsInPart] = {};
  std::memcpy(rest, source + i, static_cast<std::size_t>(count - i) * sizeof(float));
  const NativeShorts made = rounded_shorts(rest, times, low, high);
  std::memcpy(target + i, &made, static_cast<std::size_t>(count - i) * sizeof(std::int16_t));
}

/// And back.
static void fixed_to_floats(const std::int16_t* __restrict source, std::ptrdiff_t count, float factor,
                            float* __restrict target) {
  for (std::ptrdiff_t i = 0; i < count; ++i) target[i] = static_cast<float>(source[i]) * factor;
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
