// Whole numbers of 16 bits, 32 side by side: layers whose weights are powers of two add them, and but for channels of
// few connections nothing is multiplied until a finished sum becomes what its reader wants.
#pragma once

#include "isa/shorts.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

/// What scaled sums in two native vectors become, in the order of widened().
NETSURGERY_INLINE void finished_lanes(const FixedFinish& finish, const Native* scaled, Native shift,
                                      const std::int16_t* residual, std::int16_t* output) {
  NativeInts made[2];
  for (int i = 0; i < 2; ++i) made[i] = on_grid(scaled[i] + shift, finish.low, finish.high);
  if (residual) {
    NativeInts others[2];
    widened(*reinterpret_cast<const NativeShorts*>(residual), others);
    for (int i = 0; i < 2; ++i) {
      const Native own = __builtin_convertvector(made[i], Native) * (finish.own_factor - Native{});
      const Native other = __builtin_convertvector(others[i], Native) * (finish.residual_factor - Native{});
      made[i] = on_grid(rounded(own) + rounded(other), finish.last_low, finish.last_high);
    }
  }
  *reinterpret_cast<NativeShorts*>(output) = narrowed(made);
}

/// What a layer's exact sums in native vectors of 32 bits become, as widened() gives them.
struct FinishedLanes {
  Native scale, shift;
  const FixedFinish& finish;

  NETSURGERY_INLINE FinishedLanes(const FixedFinish& given, std::ptrdiff_t channel)
      : scale(given.scale[channel] - Native{}), shift(given.shift[channel] - Native{}), finish(given) {}

  NETSURGERY_INLINE void operator()(const NativeInts* sums, const std::int16_t* residual, std::int16_t* output) const {
    Native scaled[2];
    for (int i = 0; i < 2; ++i) scaled[i] = rounded(__builtin_convertvector(sums[i], Native) * scale);
    finished_lanes(finish, scaled, shift, residual, output);
  }
};

NETSURGERY_INLINE NativeShorts all_shorts(float number) { return static_cast<std::int16_t>(number) - NativeShorts{}; }

/// What a layer's sums of 16 bits become in 16 bits, before a residual is added.
struct FinishedShorts {
  NativeShorts offset, factor, low, high;

  NETSURGERY_INLINE FinishedShorts(const FixedFinish& given, std::ptrdiff_t channel)
      : offset(given.offset[channel] - NativeShorts{}),
        factor(given.factor[channel] - NativeShorts{}),
        low(all_shorts(given.low)),
        high(all_shorts(given.high)) {}

  /// True if there are such numbers for a channel.
  static NETSURGERY_INLINE bool has(const FixedFinish& finish, std::ptrdiff_t channel) {
    return finish.factor && finish.factor[channel] != 0;
  }

  NETSURGERY_INLINE NativeShorts operator()(NativeShorts sum) const {
    return between(upper_product(saturated_sum(sum, offset), factor), low, high);
  }
};

template <int kRows, int kColumns>
struct ShortSums {
  Shorts at[kRows][kColumns];
};

/// take(sum, next(), input) for the next `count` inputs of a strip. kStep: vectors from one window to the next, 0 if
/// only the strip knows.
template <class Number, int kRows, int kColumns, int kStep, class Next, class Take>
NETSURGERY_INLINE void for_inputs(ShortSums<kRows, kColumns>& sums, FixedStrip& strip, std::ptrdiff_t count,
                                  Next&& next, Take&& take) {
  const std::ptrdiff_t step = kStep ? kStep * kShorts : strip.input_column;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const Number* input =
        static_cast<const Number*>(strip.input) + static_cast<std::size_t>(strip.vectors[i]) * kShorts;
    const auto own = next();
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) take(sums.at[r][c], own, input + r * strip.input_row + c * step);
  }
  strip.vectors += count;
}

/// The sums of one part: s = 2 s + (what is added) - (what is taken away), from the highest exponent on.
template <class Number, int kRows, int kColumns, int kStep>
NETSURGERY_INLINE void sum_levels(ShortSums<kRows, kColumns>& sums, FixedStrip& strip) {
  const int levels = *strip.runs++;
  for (int level = 0; level < levels; ++level) {
    if (level > 0)
      for (auto& row : sums.at)
        for (auto& one : row) add_twice(one);
    const auto alike = [] { return 1; };
    const std::ptrdiff_t plus = *strip.runs++, minus = *strip.runs++;
    for_inputs<Number, kRows, kColumns, kStep>(sums, strip, plus, alike,
                                               [](Shorts& sum, int, const Number* at) { add_to(sum, at); });
    for_inputs<Number, kRows, kColumns, kStep>(sums, strip, minus, alike,
                                               [](Shorts& sum, int, const Number* at) { take_from(sum, at); });
  }
}

/// The sum of a channel's products.
template <class Number, int kRows, int kColumns, int kStep>
NETSURGERY_INLINE void sum_products(ShortSums<kRows, kColumns>& sums, FixedStrip& strip) {
  const std::ptrdiff_t count = *strip.runs++;
  const std::uint8_t* power = strip.powers;
  strip.powers += count;
  for_inputs<Number, kRows, kColumns, kStep>(
      sums, strip, count, [&power] { return kSignedPowers[*power++] - NativeShorts{}; },
      [](Shorts& sum, const NativeShorts& factor, const Number* at) { add_product(sum, factor, at); });
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

/// The same for sums of 16 bits, in 16 bits.
template <int kRows, int kColumns>
NETSURGERY_INLINE void finish_short(const FixedStrip& strip, std::ptrdiff_t channel, std::int16_t* output,
                                    const ShortSums<kRows, kColumns>& sums) {
  const FixedFinish& finish = strip.finish;
  const FinishedShorts finished(finish, channel);
  const auto place = [](int c, int i) { return c * kShorts + i * kShortsInPart; };
  if (!finish.residual) {
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c)
        for (int i = 0; i < kParts; ++i)
          *reinterpret_cast<NativeShorts*>(output + r * strip.output_row + place(c, i)) =
              finished(sums.at[r][c].part[i]);
    return;
  }
  const std::int16_t* residual = finish.residual + channel * finish.residual_channel;
  const NativeShorts last_low = all_shorts(finish.last_low), last_high = all_shorts(finish.last_high);
  const int own = finish.own_bits, up = finish.residual_bits, down = finish.last_bits;
  const NativeShorts below_half = static_cast<std::int16_t>((1 << down >> 1) - 1) - NativeShorts{};
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kColumns; ++c)
      for (int i = 0; i < kParts; ++i) {
        const NativeShorts other =
            *reinterpret_cast<const NativeShorts*>(residual + r * finish.residual_row + place(c, i));
        NativeShorts sum = finished(sums.at[r][c].part[i]);
        if (own > 0) sum <<= own;
        sum = saturated_sum(sum, other << up);
        if (down > 0) sum = saturated_sum(sum, below_half + ((sum >> down) & 1)) >> down;  // half to the even one
        *reinterpret_cast<NativeShorts*>(output + r * strip.output_row + place(c, i)) =
            between(sum, last_low, last_high);
      }
}

/// What will be added to a channel's sums soon.
template <int kRows, int kColumns>
NETSURGERY_INLINE void fetch_residual(const FixedStrip& strip, std::ptrdiff_t channel) {
  const std::int16_t* residual = strip.finish.residual + channel * strip.finish.residual_channel;
  for (int r = 0; r < kRows; ++r)
    for (int c = 0; c < kColumns; ++c) __builtin_prefetch(residual + r * strip.finish.residual_row + c * kShorts);
}

/// A channel whose sums stay within 16 bits: those of earlier blocks lie in the output.
template <class Number, int kRows, int kColumns, int kStep>
NETSURGERY_INLINE void short_channel(FixedStrip& strip, std::ptrdiff_t channel, std::int16_t* output, bool multiplies) {
  if (*strip.runs == 0 && !strip.begins && !strip.finishes) {
    ++strip.runs;
    return;
  }
  ShortSums<kRows, kColumns> sums;
  for (auto& row : sums.at)
    for (auto& one : row) one = no_shorts();
  if (multiplies)
    sum_products<Number, kRows, kColumns, kStep>(sums, strip);
  else
    sum_levels<Number, kRows, kColumns, kStep>(sums, strip);
  if (!strip.begins)
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) add_to(sums.at[r][c], output + r * strip.output_row + c * kShorts);
  if (!strip.finishes) {
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) store_shorts(output + r * strip.output_row + c * kShorts, sums.at[r][c]);
  } else if (FinishedShorts::has(strip.finish, channel)) {
    finish_short<kRows, kColumns>(strip, channel, output, sums);
  } else {
    finish<kRows, kColumns>(strip, channel, output, [&sums](int r, int c, NativeInts* total) {
      for (int i = 0; i < kParts; ++i) widened(sums.at[r][c].part[i], total + 2 * i);
    });
  }
}

/// A channel whose sums have 32 bits.
template <class Number, int kRows, int kColumns, int kStep>
NETSURGERY_INLINE void wide_channel(FixedStrip& strip, std::ptrdiff_t channel, std::int16_t* output, int parts) {
  NativeInts* wide = reinterpret_cast<NativeInts*>(strip.wide);
  for (int part = 0; part < parts; ++part) {
    const int base = *strip.runs++;
    ShortSums<kRows, kColumns> sums;
    for (auto& row : sums.at)
      for (auto& one : row) one = no_shorts();
    sum_levels<Number, kRows, kColumns, kStep>(sums, strip);
    for (int r = 0; r < kRows; ++r)
      for (int c = 0; c < kColumns; ++c) {
        NativeInts* total = wide + (r * kColumns + c) * kIntParts;
        NativeInts more[kIntParts];
        for (int i = 0; i < kParts; ++i) widened(sums.at[r][c].part[i], more + 2 * i);
        for (int i = 0; i < kIntParts; ++i)
          total[i] = part == 0 && strip.begins ? more[i] << base : total[i] + (more[i] << base);
      }
  }
  if (parts > 0 && strip.finishes)
    finish<kRows, kColumns>(strip, channel, output, [wide](int r, int c, NativeInts* total) {
      for (int i = 0; i < kIntParts; ++i) total[i] = wide[(r * kColumns + c) * kIntParts + i];
    });
  if (!strip.begins || !strip.finishes) strip.wide += kRows * kColumns * kShorts;
}

/// Number: of 16 bits, or a byte.
template <class Number, int kRows, int kColumns, int kStep>
static void fixed_strip(const FixedStrip& given) {
  FixedStrip strip = given;
  std::int16_t* output = strip.output;
  const bool adds = strip.finishes && strip.finish.residual;
  for (std::ptrdiff_t channel = 0; channel < strip.channels; ++channel, output += strip.output_channel) {
    if (adds) fetch_residual<kRows, kColumns>(strip, channel + 1);
    const std::uint16_t parts = *strip.runs++;
    if (parts == kOneShort || parts == kMultiplied)
      short_channel<Number, kRows, kColumns, kStep>(strip, channel, output, parts == kMultiplied);
    else
      wide_channel<Number, kRows, kColumns, kStep>(strip, channel, output, parts);
  }
}

static void pack_bytes(const FixedBytes& given) {
  const FixedBytes work = given;
  for (std::ptrdiff_t c = 0; c < work.channels; ++c)
    for (std::ptrdiff_t z = 0; z < work.slices; ++z)
      for (std::ptrdiff_t y = 0; y < work.rows; ++y) {
        const std::int16_t* input = work.input + c * work.channel + z * work.slice + y * work.row;
        std::uint8_t* row = work.bytes + (c * work.bytes_channel + z * work.bytes_slice + y * work.bytes_row) * kShorts;
        for (std::ptrdiff_t phase = 0; phase < work.phases; ++phase, row += work.bytes_phase * kShorts) {
          std::uint8_t* bytes = row;
          for (std::ptrdiff_t x = phase; x < work.columns; x += work.stride, bytes += kShorts)
            store_bytes(bytes, load_shorts(input + x * kShorts));
        }
      }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
