// Binary planes by tables: the sums of four inputs with all combinations of signs are made once; each output then takes
// one addition for four inputs and a plane (network sketching's associative convolution, as suits vectors).
#pragma once

#include <cstring>

#include "isa/kernel_strips.hpp"
#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

static_assert(kTableInputs == 4 && kTableEntries == 16, "the kernels below are written for groups of four");

static void sum_tables(const SignTables& given) {
  const SignTables all = given;
  float* table = all.tables;
  for (std::ptrdiff_t i = 0; i < all.inputs; i += kTableInputs, table += kTableEntries * kLanes) {
    Vector x[kTableInputs];
    for (int k = 0; k < kTableInputs; ++k)
      x[k] = i + k < all.inputs ? load(at_offset(all.input, all.offsets[i + k])) : broadcast(0.0f);
    const Vector none = broadcast(0.0f);
    const Vector low[4] = {none - (x[0] + x[1]), x[0] - x[1], x[1] - x[0], x[0] + x[1]};
    const Vector high[4] = {none - (x[2] + x[3]), x[2] - x[3], x[3] - x[2], x[2] + x[3]};
    for (int h = 0; h < 4; ++h)
      for (int l = 0; l < 4; ++l) store(table + (4 * h + l) * kLanes, high[h] + low[l]);
  }
}

// Loads are the limit where additions of several cycles overlap: two vectors of 64 bytes a cycle, on some processors.
constexpr int kTableSums = kNativeBytes == 64 ? 8 : 4;

template <int kPlanes, int kOutputs>
NETSURGERY_INLINE void table_sums_of(const TableSums& sums, const std::uint16_t* entries, std::ptrdiff_t first) {
  constexpr int kSums = kOutputs * kPlanes;
  Vector total[kSums];
  for (int i = 0; i < kSums; ++i) total[i] = broadcast(0.0f);
  for (std::ptrdiff_t group = 0; group < sums.groups; ++group, entries += kSums) {
    constexpr int kInLoad = 2;  // one load for two of them: the vectors need the load units
    constexpr int kLoaded = kSums / kInLoad * kInLoad;
    for (int i = 0; i < kLoaded; i += kInLoad) {
      std::uint32_t two;
      std::memcpy(&two, entries + i, sizeof two);
      total[i] = total[i] + load(at_offset(sums.tables, two & 0xffff));
      total[i + 1] = total[i + 1] + load(at_offset(sums.tables, two >> 16));
    }
    for (int i = kLoaded; i < kSums; ++i) total[i] = total[i] + load(at_offset(sums.tables, entries[i]));
  }
  for (int o = 0; o < kOutputs; ++o) {
    const std::ptrdiff_t channel = first + o;
    float* output = sums.output + channel * sums.output_channel;
    Vector sum = sums.bias ? broadcast(sums.bias[channel]) : load(output);
    for (int p = 0; p < kPlanes; ++p)
      sum = multiply_add(broadcast(sums.scales[channel * kPlanes + p]), total[o * kPlanes + p], sum);
    if (sums.last) {
      if (sums.finish.residual) sum = sum + load(sums.finish.residual + channel * sums.finish.residual_channel);
      if (sums.finish.clips) sum = at_most(broadcast(sums.finish.high), at_least(broadcast(sums.finish.low), sum));
    }
    store(output, sum);
  }
}

template <int kPlanes>
NETSURGERY_INLINE void table_sums_with(const TableSums& sums) {
  constexpr int kOutputs = table_outputs(kTableSums, kPlanes);
  const std::uint16_t* entries = sums.entries;
  const std::ptrdiff_t of_output = sums.groups * kPlanes;
  std::ptrdiff_t output = 0;
  for (; output + kOutputs <= sums.outputs; output += kOutputs, entries += kOutputs * of_output)
    table_sums_of<kPlanes, kOutputs>(sums, entries, output);
  for (; output < sums.outputs; ++output, entries += of_output) table_sums_of<kPlanes, 1>(sums, entries, output);
}

static void table_sums(const TableSums& given) {
  const TableSums sums = given;
  switch (sums.planes) {
    case 1:
      return table_sums_with<1>(sums);
    case 2:
      return table_sums_with<2>(sums);
    case 3:
      return table_sums_with<3>(sums);
    default:
      return table_sums_with<4>(sums);
  }
}

static void number_tables(const float* input, std::ptrdiff_t groups, float* tables) {
  for (std::ptrdiff_t group = 0; group < groups; ++group, input += kTableInputs, tables += kTableEntries) {
    const float low[4] = {-(input[0] + input[1]), input[0] - input[1], input[1] - input[0], input[0] + input[1]};
    const float high[4] = {-(input[2] + input[3]), input[2] - input[3], input[3] - input[2], input[2] + input[3]};
    for (int h = 0; h < 4; ++h)
      for (int l = 0; l < 4; ++l) tables[4 * h + l] = high[h] + low[l];
  }
}

static void table_rows(const TableRows& given) {
  const TableRows rows = given;
  constexpr int kGroupsInCode = 8;
  const std::ptrdiff_t words = rows.groups / kGroupsInCode;
  const std::uint32_t* codes = rows.codes;
  const float* scales = rows.scales;
  for (std::ptrdiff_t block = 0; block < rows.blocks; ++block) {
    Vector sum = load_unaligned(rows.bias + block * kLanes);
    for (int p = 0; p < rows.planes; ++p, scales += kLanes) {
      const float* table = rows.tables;
#if defined(__AVX512F__)
      // A table is one register, and looking up 16 entries one instruction, which minds the four lowest bits only.
      __m512 a = _mm512_setzero_ps(), b = a;
      for (std::ptrdiff_t word = 0; word < words; ++word, codes += kLanes, table += kGroupsInCode * kTableEntries) {
        const __m512i code = _mm512_loadu_si512(codes);
#pragma GCC unroll 4
        for (int i = 0; i < kGroupsInCode; i += 2) {
          const __m512 even = _mm512_load_ps(table + i * kTableEntries);
          const __m512 odd = _mm512_load_ps(table + (i + 1) * kTableEntries);
          a = _mm512_add_ps(a, _mm512_permutexvar_ps(_mm512_maskz_srli_epi32(0xffff, code, 4 * i), even));
          b = _mm512_add_ps(b, _mm512_permutexvar_ps(_mm512_maskz_srli_epi32(0xffff, code, 4 * i + 4), odd));
        }
      }
      Vector total;
      total.part[0] = reinterpret_cast<Native>(_mm512_add_ps(a, b));
#else
      alignas(64) float totals[kLanes] = {};
      for (std::ptrdiff_t word = 0; word < words; ++word, codes += kLanes, table += kGroupsInCode * kTableEntries)
        for (int l = 0; l < kLanes; ++l) {
          const std::uint32_t code = codes[l];
          float part = 0.0f;
          for (int i = 0; i < kGroupsInCode; ++i) part += table[i * kTableEntries + (code >> (4 * i) & 15)];
          totals[l] += part;
        }
      const Vector total = load(totals);
#endif
      sum = multiply_add(load_unaligned(scales), total, sum);
    }
    store(rows.output + block * kLanes, sum);
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
