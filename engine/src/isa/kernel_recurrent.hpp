// One step of recurrent layers: a sparse matrix times the state before, and what becomes of the gates.
#pragma once

#include "isa/kernels.hpp"
#include "isa/simd.hpp"
#include "plain/functions.hpp"

#if defined(__AVX512F__) || defined(__AVX2__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC's own header, bug 105593
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

namespace netsurgery {
namespace NETSURGERY_SET {

#if defined(__AVX512F__)

constexpr int kPickedColumns = 32;

/// The inputs of a block of columns, in registers.
struct Seen {
  __m512 first, second;
  NETSURGERY_INLINE explicit Seen(const float* x) : first(_mm512_loadu_ps(x)), second(_mm512_loadu_ps(x + 16)) {}
  /// a += one slot: a weight of each of 16 rows times the input in its column.
  NETSURGERY_INLINE void add(const float* values, const std::uint8_t* columns, Vector& a) const {
    const __m512i place = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(columns)));
    const __m512 picked = _mm512_permutex2var_ps(first, place, second);
    a.part[0] = _mm512_fmadd_ps(_mm512_loadu_ps(values), picked, a.part[0]);
  }
};

#elif defined(__AVX2__)

constexpr int kPickedColumns = 8;

struct Seen {
  __m256 all;
  NETSURGERY_INLINE explicit Seen(const float* x) : all(_mm256_loadu_ps(x)) {}
  NETSURGERY_INLINE void add(const float* values, const std::uint8_t* columns, Vector& a) const {
    for (int half = 0; half < 2; ++half) {
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(columns + 8 * half));
      const __m256 picked = _mm256_permutevar8x32_ps(all, _mm256_cvtepu8_epi32(bytes));
      a.part[half] = _mm256_fmadd_ps(_mm256_loadu_ps(values + 8 * half), picked, a.part[half]);
    }
  }
};

#else

constexpr int kPickedColumns = 0;  // no permutation picks floats by variable places: rows are multiplied one by one

#endif

#if defined(__AVX512F__) || defined(__AVX2__)

/// Groups of rows with kSlots slots each.
template <int kSlots>
NETSURGERY_INLINE void add_groups(const Seen& seen, std::uint32_t count, const std::uint16_t*& groups,
                                  const float*& values, const std::uint8_t*& columns, float* sums) {
  for (std::uint32_t i = 0; i < count; ++i) {
    float* at = sums + static_cast<std::size_t>(*groups++) * kLanes;
    Vector a = load(at);
    for (int slot = 0; slot < kSlots; ++slot, values += kLanes, columns += kLanes) seen.add(values, columns, a);
    store(at, a);
  }
}

static void picked_rows(const PickedRows& given) {
  const PickedRows rows = given;
  const std::uint32_t* counts = rows.counts;
  const std::uint16_t* groups = rows.groups;
  const float* values = rows.values;
  const std::uint8_t* columns = rows.columns;
  for (std::ptrdiff_t begin = 0; begin < rows.inputs; begin += kPickedColumns, counts += kMostSlots) {
    float last[kPickedColumns];
    const float* x = rows.input + begin;
    if (rows.inputs - begin < kPickedColumns) {  // nothing behind the input may be read
      for (int i = 0; i < kPickedColumns; ++i) last[i] = begin + i < rows.inputs ? x[i] : 0.0f;
      x = last;
    }
    const Seen seen(x);
    add_groups<8>(seen, counts[7], groups, values, columns, rows.sums);
    add_groups<7>(seen, counts[6], groups, values, columns, rows.sums);
    add_groups<6>(seen, counts[5], groups, values, columns, rows.sums);
    add_groups<5>(seen, counts[4], groups, values, columns, rows.sums);
    add_groups<4>(seen, counts[3], groups, values, columns, rows.sums);
    add_groups<3>(seen, counts[2], groups, values, columns, rows.sums);
    add_groups<2>(seen, counts[1], groups, values, columns, rows.sums);
    add_groups<1>(seen, counts[0], groups, values, columns, rows.sums);
  }
}

constexpr auto kPickedRows = picked_rows;

#else

constexpr void (*kPickedRows)(const PickedRows&) = nullptr;

#endif

static void lstm_cells(const Cells& given) {
  const Cells cells = given;
  const std::ptrdiff_t size = cells.size;
  const float* __restrict entering = cells.sums;
  const float* __restrict staying = entering + size;
  const float* __restrict candidate = staying + size;
  const float* __restrict shown = candidate + size;
  float* __restrict cell = cells.cell;
  float* __restrict hidden = cells.hidden;
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    const float after = plain::sigmoid(staying[i]) * cell[i] +
                        plain::sigmoid(entering[i]) * plain::hyperbolic_tangent(candidate[i]);
    cell[i] = after;
    hidden[i] = plain::sigmoid(shown[i]) * plain::hyperbolic_tangent(after);
  }
}

static void gru_cells(const Cells& given) {
  const Cells cells = given;
  const std::ptrdiff_t size = cells.size;
  const float* __restrict reset = cells.sums;
  const float* __restrict update = reset + size;
  const float* __restrict recurrent = update + size;
  const float* __restrict candidate = cells.candidate;
  float* __restrict hidden = cells.hidden;
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    const float kept = plain::sigmoid(update[i]);
    const float fresh = plain::hyperbolic_tangent(candidate[i] + plain::sigmoid(reset[i]) * recurrent[i]);
    hidden[i] = (1.0f - kept) * fresh + kept * hidden[i];
  }
}

static void rnn_cells(const Cells& given) {
  const Cells cells = given;
  const float* __restrict sums = cells.sums;
  float* __restrict hidden = cells.hidden;
  for (std::ptrdiff_t i = 0; i < cells.size; ++i) hidden[i] = plain::hyperbolic_tangent(sums[i]);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
