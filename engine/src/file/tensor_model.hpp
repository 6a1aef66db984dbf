// What the bits of a tensor are predicted from (docs/format.md, "Masks", "Floats", "Codes").
//
// Each function codes with an Encoder or decodes with a Decoder: it goes over the grid in row-major order and, entry by
// entry, hands the coder a probability. Encoding reads the entries; decoding fills them in. Slots begin anew with each
// tensor.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "file/mixing.hpp"

namespace netsurgery {

using Index = std::int64_t;

/// A tensor as a matrix: one row for each output; a row is `columns / plane` channels of `plane` entries, in lines of
/// `width`. plane == 1: no spatial neighbours.
struct Grid {
  Index rows, columns, plane, width;
};

/// The neighbours of an entry that were coded before it, and where it stands in its channel.
class Walk {
 public:
  explicit Walk(const Grid& grid) : grid_(grid) {}

  void begin_row() { column_ = channel_ = place_ = x_ = 0; }
  void next() {
    ++column_;
    if (++x_ == grid_.width) x_ = 0;
    if (++place_ == grid_.plane) place_ = x_ = 0, ++channel_;
  }
  Index channel() const { return channel_; }
  Index place() const { return place_; }
  bool has_left() const { return grid_.plane > 1 ? x_ > 0 : column_ > 0; }
  bool has_up() const { return grid_.plane > 1 ? place_ >= grid_.width : column_ > 1; }
  bool has_up_left() const { return grid_.plane > 1 && x_ > 0 && place_ >= grid_.width; }
  bool has_up_right() const { return grid_.plane > 1 && x_ + 1 < grid_.width && place_ >= grid_.width; }
  Index up() const { return column_ - (grid_.plane > 1 ? grid_.width : 2); }

 private:
  const Grid& grid_;
  Index column_ = 0, channel_ = 0, place_ = 0, x_ = 0;
};

struct Levels {
  std::array<std::uint8_t, 4096> of;
  Levels() {
    for (std::uint32_t i = 0; i < 4096; ++i) {
      int length = 0;
      while (i >> length) ++length;
      const int half = length >= 2 ? static_cast<int>(i >> (length - 2) & 1) : 0;
      of[i] = static_cast<std::uint8_t>(std::clamp(2 * (length + 3) + half - 18, 0, 13));
    }
  }
};
inline const Levels kLevelTable;

/// A probability in 1 / 65536 as a level 0 .. 13, two levels for each doubling from 1 / 128 on.
inline std::size_t level(std::uint32_t p16) { return kLevelTable.of[p16 >> 4]; }

inline std::size_t share_level(Index part, Index whole) {
  return level(static_cast<std::uint32_t>(part * 65535 / whole));
}

constexpr std::size_t kLevels = 16;
constexpr std::size_t kUnknownLevel = 15;
constexpr std::uint32_t kRowMemory = 8;  // what a plain mask's row takes over from the row before, as a count
constexpr Index kColumnSlots = 65536;    // further columns share slots, which bounds the memory of a wide grid

/// Codes tensors, one after another. `producer` carries row densities from a mask to that of the layer after it.
template <class Coder>
class TensorModel {
 public:
  explicit TensorModel(Coder& coder) : coder_(coder) {}

  /// mask: grid.rows x grid.columns bytes, 0 or 1. live_columns: first say which columns hold any 1 at all.
  void mask(const Grid& grid, bool live_columns, std::uint8_t* mask) {
    std::vector<std::uint8_t> live(static_cast<std::size_t>(grid.columns), 1);
    if (live_columns) columns(grid, mask, live);

    Mixer<8> mixer(2, 262);
    Slot any;
    std::vector<Slot> column(live.size());
    std::vector<Slot> channel(static_cast<std::size_t>(grid.columns / grid.plane));
    std::vector<Slot> place(static_cast<std::size_t>(grid.plane));
    std::array<Slot, 32> neighbours{};
    std::array<Slot, kLevels * 8> producer{};
    std::array<Slot, kLevels * 16> run{};
    const Index producers = static_cast<Index>(producer_.size());
    const bool known = producers > 0 && grid.columns % producers == 0;
    const Index per_producer = known ? grid.columns / producers : 1;
    std::vector<std::uint8_t> row_levels(static_cast<std::size_t>(grid.rows));

    Walk walk(grid);
    for (Index r = 0; r < grid.rows; ++r) {
      std::uint8_t* here = mask + r * grid.columns;
      const std::uint8_t* above = r > 0 ? here - grid.columns : nullptr;
      Slot row;
      Index ones = 0, in_channel = 0, zeros = 0;
      walk.begin_row();
      for (Index c = 0; c < grid.columns; ++c, walk.next()) {
        if (walk.place() == 0) in_channel = 0;
        if (!live[static_cast<std::size_t>(c)]) {
          if (Coder::kDecodes) here[c] = 0;
          continue;
        }
        const std::size_t near = (walk.has_left() ? here[c - 1] : 0u) + 2u * (walk.has_up() ? here[walk.up()] : 0u) +
                                 4u * (walk.has_up_left() ? here[walk.up() - 1] : 0u) +
                                 8u * (walk.has_up_right() ? here[walk.up() + 1] : 0u);
        row.begin_with(any.p ? any.p : kEven);
        const std::size_t from = known ? producer_[static_cast<std::size_t>(c / per_producer)] : kUnknownLevel;
        const std::array<Slot*, 8> slots = {
            &any,
            &row,
            &column[static_cast<std::size_t>(c)],
            &channel[static_cast<std::size_t>(walk.channel())],
            &place[static_cast<std::size_t>(walk.place())],
            &neighbours[near * 2 + (above ? above[c] : 0u)],
            &producer[from * 8 + static_cast<std::size_t>(std::min<Index>(in_channel, 7))],
            &run[level(row.p16()) * 16 + static_cast<std::size_t>(std::min<Index>(zeros, 15))],
        };
        const int bit = mixer.code(coder_, near != 0, slots, here[c]);
        if (Coder::kDecodes) here[c] = static_cast<std::uint8_t>(bit);
        ones += bit;
        in_channel += bit;
        zeros = bit ? 0 : zeros + 1;
      }
      row_levels[static_cast<std::size_t>(r)] = static_cast<std::uint8_t>(share_level(ones, grid.columns));
    }
    if (grid.rows > 1) producer_ = std::move(row_levels);
  }

  /// The same in a fraction of the time, for large grids: one slot for how dense row and column are so far, and two
  /// neighbours. Producers stay as they are.
  void plain_mask(const Grid& grid, std::uint8_t* mask) {
    std::vector<Slot> column(static_cast<std::size_t>(grid.columns));
    std::vector<Slot> slots(kLevels * kLevels * 4);
    Slot row;
    Walk walk(grid);
    for (Index r = 0; r < grid.rows; ++r) {
      std::uint8_t* here = mask + r * grid.columns;
      row.count = std::min<std::uint32_t>(row.count, kRowMemory);
      walk.begin_row();
      for (Index c = 0; c < grid.columns; ++c, walk.next()) {
        const std::size_t near = (walk.has_left() ? here[c - 1] : 0u) + 2u * (walk.has_up() ? here[walk.up()] : 0u);
        row.begin_with(kEven);
        Slot& down = column[static_cast<std::size_t>(c)];
        down.begin_with(row.p);
        Slot& slot = slots[(level(row.p16()) * kLevels + level(down.p16())) * 4 + near];
        slot.begin_with(row.p);
        const int bit = coder_.code(here[c], slot.p16());
        slot.learn(bit);
        row.learn(bit);
        down.learn(bit);
        if (Coder::kDecodes) here[c] = static_cast<std::uint8_t>(bit);
      }
    }
  }

  /// Sign, exponent and the first `mantissa` bits of the mantissa of every entry whose mask is 1; others become +0.
  /// bits: float32 as integers. exponent: the most frequent one (biased, 0 .. 255). shared: each row has one mantissa.
  /// mixed: signs and exponents with mixed contexts, which takes a few times longer.
  void floats(const Grid& grid, const std::uint8_t* mask, int mantissa, int exponent, bool shared, bool mixed,
              std::uint32_t* bits) {
    if (mixed)
      mixed_floats(grid, mask, mantissa, exponent, shared, bits);
    else
      plain_floats(grid, mask, mantissa, exponent, shared, bits);
  }

  /// Numbers below 2^width of every entry whose mask is 1; others become 0.
  void codes(const Grid& grid, const std::uint8_t* mask, int width, std::uint8_t* codes) {
    const std::size_t codes_below = std::size_t{1} << width;
    Mixer<5> mixer(8, 983);
    std::vector<Slot> any(codes_below), row(codes_below), left(codes_below * codes_below),
        above(codes_below * codes_below), density(kLevels * codes_below);
    std::vector<std::uint8_t> last(static_cast<std::size_t>(grid.columns), 0);
    for (Index r = 0; r < grid.rows; ++r) {
      std::fill(row.begin(), row.end(), Slot());
      const std::size_t dense = share_level(ones(mask + r * grid.columns, grid.columns), grid.columns);
      std::size_t before = 0;
      for (Index c = 0; c < grid.columns; ++c) {
        std::uint8_t& code = codes[r * grid.columns + c];
        if (!mask[r * grid.columns + c]) {
          if (Coder::kDecodes) code = 0;
          continue;
        }
        const std::size_t over = last[static_cast<std::size_t>(c)];
        std::size_t node = 1;
        for (int i = width - 1; i >= 0; --i) {
          const std::array<Slot*, 5> slots = {&any[node], &row[node], &left[before * codes_below + node],
                                              &above[over * codes_below + node], &density[dense * codes_below + node]};
          const int bit = mixer.code(coder_, static_cast<std::size_t>(width - 1 - i), slots, code >> i & 1);
          node = node * 2 + static_cast<std::size_t>(bit);
        }
        if (Coder::kDecodes) code = static_cast<std::uint8_t>(node & ((1u << width) - 1));
        before = last[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(node & ((1u << width) - 1));
      }
    }
  }

  /// `count` bits (one in each byte) as they are.
  void plain_bits(Index count, std::uint8_t* bits) {
    for (Index i = 0; i < count; i += 16) {
      const int size = static_cast<int>(std::min<Index>(16, count - i));
      std::uint32_t word = 0;
      if (!Coder::kDecodes)
        for (int j = 0; j < size; ++j) word |= static_cast<std::uint32_t>(bits[i + j]) << j;
      word = coder_.raw(word, size);
      if (Coder::kDecodes)
        for (int j = 0; j < size; ++j) bits[i + j] = static_cast<std::uint8_t>(word >> j & 1);
    }
  }

 private:
  static constexpr std::size_t kNodes = 32;  // decisions about an exponent: 2 + 2 * 12 are used

  static Index ones(const std::uint8_t* row, Index columns) {
    Index count = 0;
    for (Index c = 0; c < columns; ++c) count += row[c];
    return count;
  }

  void columns(const Grid& grid, const std::uint8_t* mask, std::vector<std::uint8_t>& live) {
    const Index width = grid.plane > 1 ? grid.width : 1;
    if (!Coder::kDecodes) {
      std::fill(live.begin(), live.end(), std::uint8_t{0});
      for (Index r = 0; r < grid.rows; ++r)
        for (Index c = 0; c < grid.columns; ++c) live[static_cast<std::size_t>(c)] |= mask[r * grid.columns + c];
    }
    std::array<Slot, 8> slots{};
    const auto at = [&](Index c) { return c >= 0 ? live[static_cast<std::size_t>(c)] : 0u; };
    for (Index c = 0; c < grid.columns; ++c) {
      const std::size_t near = at(c - 1) + 2u * at(c - width) + 4u * at(c - width - 1);
      live[static_cast<std::size_t>(c)] =
          static_cast<std::uint8_t>(code_with(coder_, slots[near], live[static_cast<std::size_t>(c)]));
    }
  }

  // An exponent is coded as its distance from the most frequent one: is there any, downwards?, and how far in unary.
  // What can only be one way is not asked, so that no file leads out of 0 .. 255. decide(node, bit) codes one decision.
  template <class Decide>
  static int code_exponent(int exponent, int frequent, Decide&& decide) {
    const int distance = exponent - frequent;
    if (!decide(std::size_t{0}, distance != 0)) return frequent;
    const int down = frequent == 0 ? 0 : frequent == 255 ? 1 : decide(std::size_t{1}, distance < 0);
    const int limit = down ? frequent : 255 - frequent;
    const int far = distance < 0 ? -distance : distance;
    int steps = 1;
    while (steps < limit && decide(static_cast<std::size_t>(2 + 12 * down + std::min(steps, 12) - 1), steps < far))
      ++steps;
    return down ? frequent - steps : frequent + steps;
  }

  std::uint32_t code_mantissa(std::uint32_t bits, int mantissa) {
    std::uint32_t field = (bits & 0x7FFFFFu) >> (23 - mantissa);
    const int high = mantissa > 12 ? mantissa - 12 : 0;
    std::uint32_t top = 0;
    if (high) top = coder_.raw(field >> 12, high);
    const std::uint32_t rest = coder_.raw(field & 0xFFFu, mantissa - high);
    field = high ? top << 12 | rest : rest;
    return field << (23 - mantissa);
  }

  void plain_floats(const Grid& grid, const std::uint8_t* mask, int mantissa, int frequent, bool shared,
                    std::uint32_t* bits) {
    std::array<std::array<Slot, kNodes>, 9> slots{};
    for (Index r = 0; r < grid.rows; ++r) {
      bool first = true;
      std::uint32_t common = 0;
      std::size_t before = 8;
      for (Index c = 0; c < grid.columns; ++c) {
        std::uint32_t& entry = bits[r * grid.columns + c];
        if (!mask[r * grid.columns + c]) {
          if (Coder::kDecodes) entry = 0;
          continue;
        }
        const std::uint32_t sign = coder_.raw(entry >> 31, 1);
        const int exponent =
            code_exponent(static_cast<int>(entry >> 23 & 255), frequent,
                          [&](std::size_t node, int bit) { return code_with(coder_, slots[before][node], bit); });
        if (!shared || first) common = code_mantissa(entry, mantissa);
        first = false;
        before = nearness(exponent, frequent);
        if (Coder::kDecodes) entry = sign << 31 | static_cast<std::uint32_t>(exponent) << 23 | common;
      }
    }
  }

  void mixed_floats(const Grid& grid, const std::uint8_t* mask, int mantissa, int frequent, bool shared,
                    std::uint32_t* bits) {
    const std::size_t column_slots = static_cast<std::size_t>(std::min(grid.columns, kColumnSlots));
    const std::size_t channels = static_cast<std::size_t>(std::min(grid.columns / grid.plane, kColumnSlots));
    Slot sign_any;
    std::vector<Slot> sign_column(column_slots), sign_channel(channels);
    std::array<Slot, 9> sign_near{};
    std::array<Slot, 3> sign_above{};
    std::array<Slot, 27> sign_path{};
    std::array<Slot, kNodes> any{};
    std::vector<Slot> column(column_slots * kNodes), channel(channels * kNodes);
    std::vector<Slot> path(9 * kNodes), near(81 * kNodes), row_density(kLevels * kNodes),
        column_density(kLevels * kNodes);

    std::vector<std::uint8_t> last_sign(static_cast<std::size_t>(grid.columns), 0);
    std::vector<Index> column_ones(static_cast<std::size_t>(grid.columns), 0);
    for (Index r = 0; r < grid.rows; ++r)
      for (Index c = 0; c < grid.columns; ++c) column_ones[static_cast<std::size_t>(c)] += mask[r * grid.columns + c];

    Walk walk(grid);
    for (Index r = 0; r < grid.rows; ++r) {
      const std::uint8_t* kept = mask + r * grid.columns;
      std::uint32_t* here = bits + r * grid.columns;
      Slot sign_row;
      std::array<Slot, kNodes> row{};
      const std::size_t dense = share_level(ones(kept, grid.columns), grid.columns);
      std::size_t sign_before = 0, before = 8;
      bool first = true;
      std::uint32_t common = 0;
      const auto sign_at = [&](bool exists, Index c) -> std::size_t {
        return exists && kept[c] ? 1 + (here[c] >> 31) : 0;
      };
      const auto exponent_at = [&](bool exists, Index c) -> std::size_t {
        return exists && kept[c] ? nearness(static_cast<int>(here[c] >> 23 & 255), frequent) : 8;
      };
      walk.begin_row();
      for (Index c = 0; c < grid.columns; ++c, walk.next()) {
        if (!kept[c]) {
          if (Coder::kDecodes) here[c] = 0;
          continue;
        }
        const std::size_t at = static_cast<std::size_t>(c), slot = at % column_slots;
        const std::size_t group = static_cast<std::size_t>(walk.channel()) % channels;
        const std::size_t left = sign_at(walk.has_left(), c - 1);
        const std::size_t up = sign_at(walk.has_up(), walk.up());
        const std::array<Slot*, 7> sign_slots = {&sign_any,
                                                 &sign_row,
                                                 &sign_column[slot],
                                                 &sign_near[left * 3 + up],
                                                 &sign_above[last_sign[at]],
                                                 &sign_path[(sign_before * 3 + last_sign[at]) * 3 + left],
                                                 &sign_channel[group]};
        const int sign = sign_mixer_.code(coder_, left || up, sign_slots, static_cast<int>(here[c] >> 31));
        sign_before = last_sign[at] = static_cast<std::uint8_t>(1 + sign);

        const std::size_t around = exponent_at(walk.has_left(), c - 1) * 9 + exponent_at(walk.has_up(), walk.up());
        const std::size_t column_level = share_level(column_ones[at], grid.rows);
        const int exponent =
            code_exponent(static_cast<int>(here[c] >> 23 & 255), frequent, [&](std::size_t node, int bit) {
              const std::array<Slot*, 8> slots = {&any[node],
                                                  &row[node],
                                                  &column[slot * kNodes + node],
                                                  &path[before * kNodes + node],
                                                  &near[around * kNodes + node],
                                                  &row_density[dense * kNodes + node],
                                                  &channel[group * kNodes + node],
                                                  &column_density[column_level * kNodes + node]};
              return exponent_mixer_.code(coder_, node, slots, bit);
            });
        if (!shared || first) common = code_mantissa(here[c], mantissa);
        first = false;
        before = nearness(exponent, frequent);
        if (Coder::kDecodes)
          here[c] = static_cast<std::uint32_t>(sign) << 31 | static_cast<std::uint32_t>(exponent) << 23 | common;
      }
    }
  }

  // An exponent's distance from the most frequent one, as a context 0 .. 7 (8 stands for "no exponent there").
  static std::size_t nearness(int exponent, int frequent) {
    return static_cast<std::size_t>(std::clamp(exponent - frequent + 4, 0, 7));
  }

  Coder& coder_;
  std::vector<std::uint8_t> producer_;
  Mixer<7> sign_mixer_{2, 983};
  Mixer<8> exponent_mixer_{kNodes, 983};
};

}  // namespace netsurgery
