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

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target) const {
    _mm512_store_si512(target, _mm512_mask_permutexvar_epi16(beyond, inside, lane, _mm512_load_si512(source)));
  }
};
#elif defined(__AVX2__)
/// Bytes are looked up in 16 of them at a time: in each quarter of the source; those of other quarters are 0.
struct ShuffledLanes {
  NativeShorts places[2][4], beyond[2];

  ShuffledLanes(const FixedShuffle& one, std::int16_t outside) {
    for (int half = 0; half < 2; ++half) {
      const NativeShorts lane = reinterpret_cast<const NativeShorts*>(one.lane)[half];
      beyond[half] = (lane < 0) & outside;
      for (int quarter = 0; quarter < 4; ++quarter) {
        const NativeShorts at = lane - static_cast<std::int16_t>(8 * quarter);
        const NativeShorts none = (at < 0) | (at > 7);
        places[half][quarter] = bytes_of_lanes(at) | (none & static_cast<std::int16_t>(0x8080));
      }
    }
  }

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target) const {
    __m256i made[2] = {reinterpret_cast<__m256i>(beyond[0]), reinterpret_cast<__m256i>(beyond[1])};
#pragma GCC unroll 4
    for (int quarter = 0; quarter < 4; ++quarter) {
      const __m256i seen =
          _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(source + 8 * quarter)));
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
        made[half] =
            _mm256_or_si256(made[half], _mm256_shuffle_epi8(seen, reinterpret_cast<__m256i>(places[half][quarter])));
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(target), made[0]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(target + 16), made[1]);
  }
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

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target) const {
    const uint8x16x4_t table = vld1q_u8_x4(reinterpret_cast<const std::uint8_t*>(source));
    for (int i = 0; i < 4; ++i)
      vst1q_u8(reinterpret_cast<std::uint8_t*>(target + 8 * i), vorrq_u8(vqtbl4q_u8(table, places[i]), beyond[i]));
  }
};
#else
struct ShuffledLanes {
  const std::int16_t* lane;
  std::int16_t outside;

  ShuffledLanes(const FixedShuffle& one, std::int16_t beyond) : lane(one.lane), outside(beyond) {}

  NETSURGERY_INLINE void operator()(const std::int16_t* source, std::int16_t* target) const {
    std::int16_t made[kShorts];
    for (int l = 0; l < kShorts; ++l) made[l] = lane[l] < 0 ? outside : source[lane[l]];
    std::memcpy(target, made, sizeof made);
  }
};
#endif

/// Lanes of a halo's vectors from wherever they lie.
static void fixed_shuffle(std::int16_t* memory, std::ptrdiff_t channels, std::ptrdiff_t channel,
                          const FixedShuffle* shuffles, std::ptrdiff_t count, std::int16_t outside) {
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const ShuffledLanes shuffled(shuffles[i], outside);
    std::int16_t* at = memory;
    for (std::ptrdiff_t c = 0; c < channels; ++c, at += channel)
      shuffled(at + shuffles[i].source, at + shuffles[i].target);
  }
}

static void fixed_pick(const FixedPicks& given) {
  const FixedPicks picks = given;
  const std::int16_t* __restrict source = picks.source;
  std::int16_t* __restrict target = picks.target;
  for (std::ptrdiff_t c = 0; c < picks.channels; ++c, source += picks.source_channel, target += picks.target_channel)
    for (std::ptrdiff_t i = 0; i < picks.count; ++i) {
      const std::int32_t offset = picks.offsets[i];
      const std::int16_t seen = source[offset < 0 ? 0 : offset];  // no branch: nobody could predict it
      target[i] = offset < 0 ? picks.outside : seen;
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

/// Floats times `factor`, cut and rounded: the first 16 lanes of each vector, and the others.
static void fixed_from_floats(const float* low_lanes, const float* high_lanes, std::ptrdiff_t columns, float factor,
                              float low, float high, std::int16_t* target) {
  const Native times = factor - Native{};
  for (std::ptrdiff_t x = 0; x < columns; ++x, target += kShorts) {
    for (int i = 0; i < kParts; ++i) {
      NativeInts both[2];
      for (int k = 0; k < 2; ++k) {
        const int lane = (2 * i + k) * (kShortsInPart / 2);
        const float* at = (lane < kLanes ? low_lanes : high_lanes - kLanes) + x * kLanes + lane;
        both[k] = on_grid(rounded(*reinterpret_cast<const AlignedNative*>(at) * times), low, high);
      }
      reinterpret_cast<NativeShorts*>(target)[i] = narrowed_in_order(both);
    }
  }
}

/// And back.
static void fixed_to_floats(const std::int16_t* source, std::ptrdiff_t columns, float factor, float* low_lanes,
                            float* high_lanes) {
  for (std::ptrdiff_t x = 0; x < columns; ++x, source += kShorts)
    for (int half = 0; half < 2; ++half) {
      float* target = (half == 0 ? low_lanes : high_lanes) + x * kLanes;
      for (int l = 0; l < kLanes; ++l) target[l] = static_cast<float>(source[half * kLanes + l]) * factor;
    }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
