// Binary planes over whole numbers of 16 bits: kernel_sign_tables.hpp with twice the lanes. Sums of one block of tables
// stay within 16 bits; those of all blocks have 32.
#pragma once

#include "isa/kernel_fixed.hpp"
#include "isa/shorts.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

static void fixed_tables(const FixedTables& given) {
  const FixedTables all = given;
  const auto sum = [](const Shorts& a, const Shorts& b) {
    Shorts made;
    for (int i = 0; i < kParts; ++i) made.part[i] = a.part[i] + b.part[i];
    return made;
  };
  const auto negative = [](const Shorts& a) {
    Shorts made;
    for (int i = 0; i < kParts; ++i) made.part[i] = -a.part[i];
    return made;
  };
  std::int16_t* table = all.tables;
  for (std::ptrdiff_t i = 0; i < all.inputs; i += kTableInputs, table += kTableEntries * kShorts) {
    Shorts x[kTableInputs];
    for (int k = 0; k < kTableInputs; ++k)
      x[k] = i + k < all.inputs ? load_shorts(reinterpret_cast<const std::int16_t*>(
                                      reinterpret_cast<const char*>(all.input) + all.offsets[i + k]))
                                : no_shorts();
    const Shorts low[2] = {sum(x[0], x[1]), sum(x[1], negative(x[0]))};
    const Shorts high[2] = {sum(x[2], x[3]), sum(x[3], negative(x[2]))};
    const Shorts lows[4] = {negative(low[0]), negative(low[1]), low[1], low[0]};
    const Shorts highs[4] = {negative(high[0]), negative(high[1]), high[1], high[0]};
    for (int h = 0; h < 4; ++h)
      for (int l = 0; l < 4; ++l) store_shorts(table + (4 * h + l) * kShorts, sum(highs[h], lows[l]));
  }
}

/// Of some rows at once, so that their additions wait for each other less.
template <int kRows>
NETSURGERY_INLINE void fixed_table_rows(const FixedTableSums& sums, const std::uint16_t* entries, NativeInts* wide) {
  Shorts total[kRows];
  for (Shorts& one : total) one = no_shorts();
  const char* const tables = reinterpret_cast<const char*>(sums.tables);
  const auto take = [tables](Shorts& one, std::uint16_t entry) {
    add_to(one, reinterpret_cast<const std::int16_t*>(tables + entry));
  };
  for (std::ptrdiff_t group = 0; group < sums.groups; ++group, entries += kRows) {
    if constexpr (kRows == 4) {  // one load for all of them: the vectors need the load units
      std::uint64_t four;
      std::memcpy(&four, entries, sizeof four);
      for (int i = 0; i < kRows; ++i) take(total[i], static_cast<std::uint16_t>(four >> (16 * i)));
    } else {
      for (int i = 0; i < kRows; ++i) take(total[i], entries[i]);
    }
  }
  for (int row = 0; row < kRows; ++row, wide += kIntParts) {
    NativeInts more[kIntParts];
    for (int i = 0; i < kParts; ++i) widened(total[row].part[i], more + 2 * i);
    for (int i = 0; i < kIntParts; ++i) wide[i] = sums.begins ? more[i] : wide[i] + more[i];
  }
}

static void fixed_table_sums(const FixedTableSums& given) {
  const FixedTableSums sums = given;
  constexpr int kTogether = kFixedTableRows;
  const std::uint16_t* entries = sums.entries;
  NativeInts* wide = reinterpret_cast<NativeInts*>(sums.sums);
  std::ptrdiff_t row = 0;
  for (; row + kTogether <= sums.rows;
       row += kTogether, entries += kTogether * sums.groups, wide += kTogether * kIntParts)
    fixed_table_rows<kTogether>(sums, entries, wide);
  for (; row < sums.rows; ++row, entries += sums.groups, wide += kIntParts) fixed_table_rows<1>(sums, entries, wide);
}

static void fixed_planes(const FixedPlanes& given) {
  const FixedPlanes work = given;
  const FixedFinish& finish = work.finish;
  const NativeInts* sums = reinterpret_cast<const NativeInts*>(work.sums);
  const float* scale = finish.scale;
  std::int16_t* output = work.output;
  const std::int16_t* residual = finish.residual;
  const auto times = [](NativeInts sum, float by) {
    return rounded(__builtin_convertvector(sum, Native) * (by - Native{}));
  };
  for (std::ptrdiff_t channel = 0; channel < work.channels; ++channel, output += work.output_channel) {
    Native total[kIntParts];
    for (int i = 0; i < kIntParts; ++i) total[i] = times(sums[i], *scale);
    for (std::ptrdiff_t plane = 1; plane < work.planes; ++plane)
      for (int i = 0; i < kIntParts; ++i) total[i] = total[i] + times(sums[plane * kIntParts + i], scale[plane]);
    sums += work.planes * kIntParts;
    scale += work.planes;
    for (int i = 0; i < kParts; ++i) {
      const std::ptrdiff_t lane = i * kShortsInPart;
      finished_lanes(finish, total + 2 * i, finish.shift[channel] - Native{}, residual ? residual + lane : nullptr,
                     output + lane);
    }
    if (residual) residual += finish.residual_channel;
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
