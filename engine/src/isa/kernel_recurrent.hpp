// One step of recurrent layers: a sparse matrix times the state before, and what becomes of the gates.
#pragma once

#include <type_traits>

#include "isa/kernels.hpp"
#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

#if defined(__AVX512F__)

constexpr int kPickedColumns = 32;
constexpr PickedCycles kPickedCycles{1.8, 2.2, 20, 1.3, 2.6};

/// The inputs of a block of columns, in registers.
struct Seen {
  __m512 first, second;
  NETSURGERY_INLINE void see(const float* x) {
    first = _mm512_loadu_ps(x);
    second = _mm512_loadu_ps(x + 16);
  }
};

/// A weight of each of 16 rows, and where their inputs are.
struct Slot {
  __m512i place;
  __m512 value;
  NETSURGERY_INLINE Slot(const float* values, const std::uint8_t* columns)
      : place(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(columns)))),
        value(_mm512_loadu_ps(values)) {}
  NETSURGERY_INLINE void add(const Seen& seen, Vector& sum) const {
    sum.part[0] = _mm512_fmadd_ps(value, _mm512_permutex2var_ps(seen.first, place, seen.second), sum.part[0]);
  }
};

#elif defined(__AVX2__)

constexpr int kPickedColumns = 8;
constexpr PickedCycles kPickedCycles{3.6, 2.2, 15, 2.4, 2.6};

struct Seen {
  __m256 all;
  NETSURGERY_INLINE void see(const float* x) { all = _mm256_loadu_ps(x); }
};

struct Slot {
  __m256i place[2];
  __m256 value[2];
  NETSURGERY_INLINE Slot(const float* values, const std::uint8_t* columns) {
    for (int half = 0; half < 2; ++half) {
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(columns + 8 * half));
      place[half] = _mm256_cvtepu8_epi32(bytes);
      value[half] = _mm256_loadu_ps(values + 8 * half);
    }
  }
  NETSURGERY_INLINE void add(const Seen& seen, Vector& sum) const {
    for (int half = 0; half < 2; ++half)
      sum.part[half] = _mm256_fmadd_ps(value[half], _mm256_permutevar8x32_ps(seen.all, place[half]), sum.part[half]);
  }
};

#else

constexpr int kPickedColumns = 0;  // no permutation picks floats by variable places: rows are multiplied one by one
constexpr PickedCycles kPickedCycles{};

#endif

#if defined(__AVX512F__) || defined(__AVX2__)

/// What is left of the weights while they stream by.
struct Stream {
  const std::uint16_t* groups;
  const float* values;
  const std::uint8_t* columns;
};

/// Groups of rows with kSlots slots each.
template <int kVectors, int kSlots>
NETSURGERY_INLINE void add_groups(const Seen* seen, std::uint32_t count, Stream& stream, float* sums,
                                  std::ptrdiff_t next) {
  for (std::uint32_t i = 0; i < count; ++i) {
    float* at = sums + static_cast<std::size_t>(*stream.groups++) * kLanes;
    Vector sum[kVectors];
    for (int v = 0; v < kVectors; ++v) sum[v] = load(at + v * next);
    for (int slot = 0; slot < kSlots; ++slot, stream.values += kLanes, stream.columns += kLanes) {
      const Slot one(stream.values, stream.columns);
      for (int v = 0; v < kVectors; ++v) one.add(seen[v], sum[v]);
    }
    for (int v = 0; v < kVectors; ++v) store(at + v * next, sum[v]);
  }
}

template <int kVectors>
static void picked_vectors(const PickedRows& rows) {
  Stream stream{rows.groups, rows.values, rows.columns};
  const std::uint32_t* counts = rows.counts;
  for (std::ptrdiff_t begin = 0; begin < rows.inputs; begin += kPickedColumns, counts += kMostSlots) {
    Seen seen[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      float last[kPickedColumns];
      const float* x = rows.input + v * rows.next_input + begin;
      if (rows.inputs - begin < kPickedColumns) {  // nothing behind the input may be read
        for (int i = 0; i < kPickedColumns; ++i) last[i] = begin + i < rows.inputs ? x[i] : 0.0f;
        x = last;
      }
      seen[v].see(x);
    }
    const auto add = [&](auto slots) {
      constexpr int kSlots = decltype(slots)::value;
      add_groups<kVectors, kSlots>(seen, counts[kSlots - 1], stream, rows.sums, rows.next_sums);
    };
    add(std::integral_constant<int, 8>());
    add(std::integral_constant<int, 7>());
    add(std::integral_constant<int, 6>());
    add(std::integral_constant<int, 5>());
    add(std::integral_constant<int, 4>());
    add(std::integral_constant<int, 3>());
    add(std::integral_constant<int, 2>());
    add(std::integral_constant<int, 1>());
  }
}

static void picked_rows(const PickedRows& given) {
  const PickedRows rows = given;
  switch (rows.vectors) {
    case 1:
      return picked_vectors<1>(rows);
    case 2:
      return picked_vectors<2>(rows);
    case 3:
      return picked_vectors<3>(rows);
    default:
      return picked_vectors<4>(rows);
  }
}

constexpr auto kPickedRows = picked_rows;

#else

constexpr void (*kPickedRows)(const PickedRows&) = nullptr;

#endif

// Gates: with e(x) = e^x, sigmoid(x) = 1 / (1 + e(-x)), and tanh is a quotient of polynomials, so that a product of the
// two is a single quotient. Within a few ulp.

/// e^x for x <= 0, and up to 87; 1.2e-38 below -87. NaN stays.
NETSURGERY_INLINE Vector power_of_e(const Vector& given) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to a whole number
  const Vector x = at_least(broadcast(-87.0f), given);
  const Vector shifted = multiply_add(x, broadcast(1.44269504f), broadcast(kMagic));
  const Vector count = shifted - broadcast(kMagic);
  const Vector high = multiply_add(count, broadcast(-0.693359375f), x);
  const Vector r = multiply_add(count, broadcast(2.12194440e-4f), high);
  Vector p = broadcast(0.00139504869f);
  p = multiply_add(p, r, broadcast(0.00836888794f));
  p = multiply_add(p, r, broadcast(0.0416662060f));
  p = multiply_add(p, r, broadcast(0.166665182f));
  p = multiply_add(p, r, broadcast(0.5f));
  Vector power = multiply_add(r * r, p, r) + broadcast(1.0f);
  for (int i = 0; i < kParts; ++i) {
    const NativeBits exponent = as_bits(shifted.part[i]) << 23;  // what the magic adds is shifted out
    power.part[i] = as_floats(as_bits(power.part[i]) + exponent);
  }
  return power;
}

NETSURGERY_INLINE Vector quotient(const Vector& a, const Vector& b) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] / b.part[i];
  return v;
}

/// 1 + e^-x, of which sigmoid(x) is the reciprocal.
NETSURGERY_INLINE Vector below_sigmoid(const Vector& x) {
  return broadcast(1.0f) + power_of_e(at_most(broadcast(87.0f), broadcast(0.0f) - x));
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
