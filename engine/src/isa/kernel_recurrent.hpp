// One step of recurrent layers: a sparse matrix times the state before, and what becomes of the gates.
#pragma once

#include "isa/functions.hpp"
#include "isa/kernels.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

#if defined(__AVX512F__)

// What a turn sees is read once for a bundle: reading limits it, too.
constexpr Picking kPicking{16, 32, true, 9, 12, 2, 1.3, 2.6};

using Picked = __m512;  // the sums of a group, one for each lane
using Places = __m512i;

/// What a slot sees, in registers.
struct Window {
  __m512 first, second;
  NETSURGERY_INLINE Window(const float* x, const std::uint32_t* starts)
      : first(_mm512_loadu_ps(x + starts[0])), second(_mm512_loadu_ps(x + starts[1])) {}
  /// Looks at the lowest bits of a place alone.
  NETSURGERY_INLINE Picked at(Places places) const { return _mm512_permutex2var_ps(first, places, second); }
};

NETSURGERY_INLINE Picked load_picked(const float* at) { return _mm512_load_ps(at); }
NETSURGERY_INLINE void store_picked(float* at, Picked sums) { _mm512_store_ps(at, sums); }
/// Kept in a register: compilers would load them anew for each group, and loads are what limits a turn.
NETSURGERY_INLINE Places load_places(const std::uint32_t* at) {
  Places places = _mm512_load_si512(at);
  asm("" : "+v"(places));
  return places;
}
template <int kGroup>
NETSURGERY_INLINE Places of_group(Places places) {
  return _mm512_srli_epi32(places, 8 * kGroup);
}
NETSURGERY_INLINE Picked multiply_add(Picked a, Picked b, Picked c) { return _mm512_fmadd_ps(a, b, c); }

#elif defined(__AVX2__)

constexpr Picking kPicking{8, 8, false, 8, 12, 2, 2.4, 2.6};

using Picked = __m256;
using Places = __m256i;

struct Window {
  __m256 all;
  NETSURGERY_INLINE Window(const float* x, const std::uint32_t* start) : all(_mm256_loadu_ps(x + *start)) {}
  NETSURGERY_INLINE Picked at(Places places) const { return _mm256_permutevar8x32_ps(all, places); }
};

NETSURGERY_INLINE Picked load_picked(const float* at) { return _mm256_load_ps(at); }
NETSURGERY_INLINE void store_picked(float* at, Picked sums) { _mm256_store_ps(at, sums); }
/// Kept in a register: compilers would load them anew for each group.
NETSURGERY_INLINE Places load_places(const std::uint32_t* at) {
  Places places = _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
  asm("" : "+x"(places));
  return places;
}
template <int kGroup>
NETSURGERY_INLINE Places of_group(Places places) {
  return _mm256_srli_epi32(places, 8 * kGroup);
}
NETSURGERY_INLINE Picked multiply_add(Picked a, Picked b, Picked c) { return _mm256_fmadd_ps(a, b, c); }

#else

constexpr Picking kPicking{};  // no permutation picks floats by variable places: rows are multiplied one by one

#endif

#if defined(__AVX512F__) || defined(__AVX2__)

/// A turn: a slot of each group, from kGroup on.
template <int kVectors, int kGroup = 0>
NETSURGERY_INLINE void add_turn(const float* input, std::ptrdiff_t next_input, const std::uint32_t* starts,
                                const float* values, Places places, Picked (*sums)[kVectors]) {
  if constexpr (kGroup < kPickedTogether) {
    const Picked weights = load_picked(values + kGroup * kPicking.lanes);
    const Places own = of_group<kGroup>(places);
    for (int v = 0; v < kVectors; ++v) {
      const Window window(input + v * next_input, starts + (kPicking.shares ? 0 : kGroup));
      sums[kGroup][v] = multiply_add(weights, window.at(own), sums[kGroup][v]);
    }
    add_turn<kVectors, kGroup + 1>(input, next_input, starts, values, places, sums);
  }
}

/// The weights that have no slot, and sums to the rows that they are of.
static __attribute__((noinline)) void finish_picked(const PickedRows& rows, int vectors) {
  for (int v = 0; v < vectors; ++v) {
    const float* const input = rows.input + v * rows.next_input;
    float* const sums = rows.sums + v * rows.next_sums;
    float* const output = rows.output + v * rows.next_output;
    for (std::ptrdiff_t i = 0; i < rows.rests_count; ++i) {
      const PickedRest& rest = rows.rests[i];
      sums[rest.row] = __builtin_fmaf(rest.value, input[rest.column], sums[rest.row]);
    }
    if (rows.row_places)
      for (std::ptrdiff_t row = 0; row < rows.rows; ++row) output[row] += sums[rows.row_places[row]];
    else
      for (std::ptrdiff_t row = 0; row < rows.rows; ++row) output[row] += sums[row];
  }
}

template <int kVectors>
static void picked_vectors(const PickedRows& rows) {
  float last[kVectors * kPicking.columns] = {};
  const float* input = rows.input;
  std::ptrdiff_t next_input = rows.next_input;
  if (rows.inputs < kPicking.columns) {  // nothing behind the input may be read
    for (int v = 0; v < kVectors; ++v)
      for (std::ptrdiff_t i = 0; i < rows.inputs; ++i) last[v * kPicking.columns + i] = input[v * next_input + i];
    input = last;
    next_input = kPicking.columns;
  }
  const std::uint32_t *turns = rows.turns, *starts = rows.starts, *places = rows.places;
  const float* values = rows.values;
  float* at = rows.sums;
  for (std::ptrdiff_t left = rows.groups; left > 0; left -= kPickedTogether, at += kPicking.rows()) {
    Picked sums[kPickedTogether][kVectors];
#pragma GCC unroll 4
    for (auto& group : sums)
      for (Picked& sum : group) sum = Picked{};
    for (std::uint32_t turn = *turns++; turn > 0; --turn) {
      add_turn<kVectors>(input, next_input, starts, values, load_places(places), sums);
      starts += kPicking.starts();
      values += kPicking.rows();
      places += kPicking.lanes;
    }
#pragma GCC unroll 4
    for (int group = 0; group < kPickedTogether; ++group)
      for (int v = 0; v < kVectors; ++v)
        if (group < left) store_picked(at + group * kPicking.lanes + v * rows.next_sums, sums[group][v]);
  }
  finish_picked(rows, kVectors);
}

/// So many vectors, at most kMost.
template <int kMost>
static void picked_at_once(const PickedRows& rows, int vectors) {
  if constexpr (kMost > 1)
    if (vectors < kMost) return picked_at_once<kMost - 1>(rows, vectors);
  picked_vectors<kMost>(rows);
}

static void picked_rows(const PickedRows& given) {
  constexpr int kAtOnce = kRegisters >= 32 ? kMostPickedVectors : kMostPickedVectors / 2;  // whose sums fit registers
  PickedRows rows = given;
  for (int vectors = given.vectors; vectors > 0; vectors -= kAtOnce) {
    picked_at_once<kAtOnce>(rows, vectors);
    rows.input += kAtOnce * rows.next_input;
    rows.sums += kAtOnce * rows.next_sums;
    rows.output += kAtOnce * rows.next_output;
  }
}

constexpr auto kPickedRows = picked_rows;

#else

constexpr void (*kPickedRows)(const PickedRows&) = nullptr;

#endif

// Gates: with e(x) = e^x, sigmoid(x) = 1 / (1 + e(-x)), and tanh is a quotient of polynomials, so that a product of the
// two is a single quotient. Within a few ulp.

NETSURGERY_INLINE Vector quotient(const Vector& a, const Vector& b) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] / b.part[i];
  return v;
}

/// 1 + e^-x, of which sigmoid(x) is the reciprocal.
NETSURGERY_INLINE Vector below_sigmoid(const Vector& x) {
  Vector v;
  for (int i = 0; i < kParts; ++i) {
    const Native held = at_most(87.0f - Native{}, at_least(-87.0f - Native{}, -x.part[i]));
    v.part[i] = 1.0f + power_of_e(held);
  }
  return v;
}

/// tanh(x) as a numerator and a denominator from 1 to 500; as hyperbolic_tangent of functions.hpp, but for its last
/// limit: a quotient may be above 1 by a rounding.
struct Fraction {
  Vector above, below;
};

NETSURGERY_INLINE Fraction tanh_of(const Vector& x) {
  const Vector a = at_most(broadcast(9.02f), at_least(broadcast(-9.02f), x)), square = a * a;
  Vector p = broadcast(1.33554547e-08f), q = broadcast(7.77689985e-07f);
  p = multiply_add(p, square, broadcast(2.06097113e-05f));
  q = multiply_add(q, square, broadcast(0.000328569952f));
  p = multiply_add(p, square, broadcast(0.00349562868f));
  q = multiply_add(q, square, broadcast(0.0258771388f));
  p = multiply_add(p, square, broadcast(0.133810605f));
  q = multiply_add(q, square, broadcast(0.467143761f));
  p = multiply_add(p, square, broadcast(0.999999979f));
  q = multiply_add(q, square, broadcast(1.0f));
  return {a * p, q};
}

static void lstm_cells(const Cells& given) {
  const Cells cells = given;
  for (std::ptrdiff_t i = 0; i < cells.size; i += kLanes) {
    const float* gates = cells.sums + i;
    const Vector entering = below_sigmoid(load_unaligned(gates));
    const Vector staying = below_sigmoid(load_unaligned(gates + cells.size));
    const Fraction candidate = tanh_of(load_unaligned(gates + 2 * cells.size));
    const Vector shown = below_sigmoid(load_unaligned(gates + 3 * cells.size));
    const Vector kept = quotient(load(cells.cell + i), staying);
    const Vector after = kept + quotient(candidate.above, candidate.below * entering);
    store(cells.cell + i, after);
    const Fraction through = tanh_of(after);
    store(cells.hidden + i, quotient(through.above, through.below * shown));
  }
}

static void gru_cells(const Cells& given) {
  const Cells cells = given;
  const Vector one = broadcast(1.0f);
  for (std::ptrdiff_t i = 0; i < cells.size; i += kLanes) {
    const float* gates = cells.sums + i;
    const float* input = cells.candidate + i;
    float last[kLanes];
    if (cells.size - i < kLanes) {  // nothing behind the input may be read
      for (int l = 0; l < kLanes; ++l) last[l] = i + l < cells.size ? input[l] : 0.0f;
      input = last;
    }
    const Vector reset = below_sigmoid(load_unaligned(gates));
    const Vector kept = quotient(one, below_sigmoid(load_unaligned(gates + cells.size)));
    const Vector recurrent = quotient(load_unaligned(gates + 2 * cells.size), reset);
    const Fraction fresh = tanh_of(load_unaligned(input) + recurrent);
    const Vector hidden = load(cells.hidden + i);
    store(cells.hidden + i, multiply_add(one - kept, quotient(fresh.above, fresh.below), kept * hidden));
  }
}

static void rnn_cells(const Cells& given) {
  const Cells cells = given;
  for (std::ptrdiff_t i = 0; i < cells.size; i += kLanes) {
    const Fraction shown = tanh_of(load_unaligned(cells.sums + i));
    store(cells.hidden + i, quotient(shown.above, shown.below));
  }
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
