// A vector of 16 floats, whatever the instruction set: one register with AVX-512, two with AVX2, four elsewhere. The
// kernels are written once, against this; each kernels_<set>.cpp compiles them with other flags into its own namespace.
//
// To be included by kernel units only, inside of which NETSURGERY_SET names the namespace: no inline function of one
// instruction set may ever be linked into another.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC's own header, bug 105593
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

#ifndef NETSURGERY_SET
#error "simd.hpp is for kernel units: define NETSURGERY_SET first"
#endif

namespace netsurgery {
namespace NETSURGERY_SET {

constexpr int kLanes = 16;
#if defined(__AVX512F__)
constexpr int kNativeBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kNativeBytes = 32;
constexpr int kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kNativeBytes = 16;
constexpr int kRegisters = 32;
#else
constexpr int kNativeBytes = 16;
constexpr int kRegisters = 16;
#endif
constexpr int kParts = 64 / kNativeBytes;

#define NETSURGERY_INLINE inline __attribute__((always_inline))

typedef float Native __attribute__((vector_size(kNativeBytes)));
typedef std::int32_t NativeInts __attribute__((vector_size(kNativeBytes)));
typedef std::uint32_t NativeBits __attribute__((vector_size(kNativeBytes)));
typedef float UnalignedNative __attribute__((vector_size(kNativeBytes), aligned(4), may_alias));
typedef float AlignedNative __attribute__((vector_size(kNativeBytes), may_alias));

/// The same bits as another type.
NETSURGERY_INLINE NativeInts as_ints(Native x) { return reinterpret_cast<NativeInts>(x); }
NETSURGERY_INLINE NativeBits as_bits(Native x) { return reinterpret_cast<NativeBits>(x); }
NETSURGERY_INLINE Native as_floats(NativeBits x) { return reinterpret_cast<Native>(x); }

/// The same value, of which compilers know nothing but that it is in a register.
NETSURGERY_INLINE Native in_register(Native value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#elif defined(__x86_64__)
  asm("" : "+x"(value));
#else
  asm("" : "+m"(value));
#endif
  return value;
}

/// The larger one of a limit, which is no NaN, and x; x if that is NaN. Compilers make two instructions of the choice.
NETSURGERY_INLINE Native at_least(Native limit, Native x) {
#if defined(__AVX512F__)
  return _mm512_max_ps(limit, x);
#elif defined(__AVX2__)
  return _mm256_max_ps(limit, x);
#else
  return limit > x ? limit : x;
#endif
}

/// The smaller one of a limit, which is no NaN, and x; x if that is NaN.
NETSURGERY_INLINE Native at_most(Native limit, Native x) {
#if defined(__AVX512F__)
  return _mm512_min_ps(limit, x);
#elif defined(__AVX2__)
  return _mm256_min_ps(limit, x);
#else
  return limit < x ? limit : x;
#endif
}

struct Vector {
  Native part[kParts];
};

NETSURGERY_INLINE Vector load(const float* at) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = reinterpret_cast<const AlignedNative*>(at)[i];
  return v;
}

NETSURGERY_INLINE Vector load_unaligned(const float* at) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = reinterpret_cast<const UnalignedNative*>(at)[i];
  return v;
}

NETSURGERY_INLINE void store(float* at, const Vector& v) {
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) reinterpret_cast<AlignedNative*>(at)[i] = v.part[i];
}

NETSURGERY_INLINE void store_unaligned(float* at, const Vector& v) {
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) reinterpret_cast<UnalignedNative*>(at)[i] = v.part[i];
}

NETSURGERY_INLINE Vector broadcast(float value) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = value - Native{};  // exact, -0 too, and known to be nothing but a copy
  return v;
}

NETSURGERY_INLINE Vector operator+(const Vector& a, const Vector& b) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] + b.part[i];
  return v;
}

NETSURGERY_INLINE Vector operator-(const Vector& a, const Vector& b) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] - b.part[i];
  return v;
}

NETSURGERY_INLINE Vector operator*(const Vector& a, const Vector& b) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] * b.part[i];
  return v;
}

NETSURGERY_INLINE Vector operator/(const Vector& a, const Vector& b) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] / b.part[i];
  return v;
}

/// a * b + c, rounded once where the instruction set can (kernel units allow contraction).
NETSURGERY_INLINE Vector multiply_add(const Vector& a, const Vector& b, const Vector& c) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] * b.part[i] + c.part[i];
  return v;
}

typedef float Four __attribute__((vector_size(16)));

/// of(...) of all lanes, in pairs: of vectors, and of floats.
template <class Of>
NETSURGERY_INLINE float reduced(const Vector& v, Of&& of) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  Four fours[4];
  __builtin_memcpy(fours, lanes, sizeof fours);
  const Four last = of(of(fours[0], fours[1]), of(fours[2], fours[3]));
  return of(of(last[0], last[1]), of(last[2], last[3]));
}

NETSURGERY_INLINE Vector at_least(const Vector& limit, const Vector& x) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = at_least(limit.part[i], x.part[i]);
  return v;
}

NETSURGERY_INLINE Vector at_most(const Vector& limit, const Vector& x) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) v.part[i] = at_most(limit.part[i], x.part[i]);
  return v;
}

/// The larger one; NaN if either is.
NETSURGERY_INLINE Vector maximum(const Vector& a, const Vector& b) {
  Vector v;
#pragma GCC unroll 8
  for (int i = 0; i < kParts; ++i) {
#if defined(__AVX512F__)  // x86's maximum is a where either is NaN, or both are 0
    const __mmask16 is_number = _mm512_cmp_ps_mask(b.part[i], b.part[i], _CMP_ORD_Q);
    v.part[i] = _mm512_mask_max_ps(b.part[i], is_number, b.part[i], a.part[i]);
#elif defined(__AVX2__)
    const __m256 all_ones_if_nan = _mm256_cmp_ps(b.part[i], b.part[i], _CMP_UNORD_Q);
    v.part[i] = _mm256_or_ps(_mm256_max_ps(b.part[i], a.part[i]), all_ones_if_nan);
#else
    const Native most = b.part[i] > a.part[i] ? b.part[i] : a.part[i];  // a if that is NaN
    v.part[i] = b.part[i] != b.part[i] ? b.part[i] : most;
#endif
  }
  return v;
}

typedef double NativeDoubles __attribute__((vector_size(kNativeBytes)));
typedef std::int64_t NativeLongs __attribute__((vector_size(kNativeBytes)));
typedef float HalfNative __attribute__((vector_size(kNativeBytes / 2)));
typedef float UnalignedHalf __attribute__((vector_size(kNativeBytes / 2), aligned(4), may_alias));
constexpr int kWideParts = 2 * kParts;
constexpr int kDoublesInPart = kNativeBytes / 8;

/// 16 doubles.
struct Doubles {
  NativeDoubles part[kWideParts];
};

NETSURGERY_INLINE Doubles load_wide(const float* at) {
  Doubles v;
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i)
    v.part[i] = __builtin_convertvector(
        static_cast<HalfNative>(*reinterpret_cast<const UnalignedHalf*>(at + i * kDoublesInPart)), NativeDoubles);
  return v;
}

NETSURGERY_INLINE void store_narrow(float* at, const Doubles& v) {
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i)
    *reinterpret_cast<UnalignedHalf*>(at + i * kDoublesInPart) = __builtin_convertvector(v.part[i], HalfNative);
}

NETSURGERY_INLINE Doubles widened(const Vector& v) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  return load_wide(lanes);
}

NETSURGERY_INLINE Vector narrowed(const Doubles& v) {
  alignas(64) float lanes[kLanes];
  store_narrow(lanes, v);
  return load(lanes);
}

NETSURGERY_INLINE Doubles broadcast_wide(double value) {
  Doubles v;
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i) v.part[i] = value - NativeDoubles{};
  return v;
}

NETSURGERY_INLINE Doubles operator+(const Doubles& a, const Doubles& b) {
  Doubles v;
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i) v.part[i] = a.part[i] + b.part[i];
  return v;
}

NETSURGERY_INLINE Doubles operator-(const Doubles& a, const Doubles& b) {
  Doubles v;
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i) v.part[i] = a.part[i] - b.part[i];
  return v;
}

NETSURGERY_INLINE Doubles operator*(const Doubles& a, const Doubles& b) {
  Doubles v;
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i) v.part[i] = a.part[i] * b.part[i];
  return v;
}

/// Lanes from `count` on become 0.
NETSURGERY_INLINE void keep_first(Doubles& v, std::ptrdiff_t count) {
#pragma GCC unroll 8
  for (int i = 0; i < kWideParts; ++i)
    for (int l = 0; l < kDoublesInPart; ++l)
      if (i * kDoublesInPart + l >= count) v.part[i][l] = 0.0;
}

NETSURGERY_INLINE double total(const Doubles& v) {
  NativeDoubles sum = v.part[0];
  for (int i = 1; i < kWideParts; ++i) sum = sum + v.part[i];
  double result = sum[0];
  for (int l = 1; l < kDoublesInPart; ++l) result += sum[l];
  return result;
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
