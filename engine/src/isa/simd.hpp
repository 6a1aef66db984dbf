// A vector of 16 floats, whatever the instruction set: one register with AVX-512, two with AVX2, four elsewhere. The
// kernels are written once, against this; each kernels_<set>.cpp compiles them with other flags into its own namespace.
//
// To be included by kernel units only, inside of which NETSURGERY_SET names the namespace: no inline function of one
// instruction set may ever be linked into another.
#pragma once

#include <cstddef>
#include <cstdint>

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
typedef float UnalignedNative __attribute__((vector_size(kNativeBytes), aligned(4), may_alias));
typedef float AlignedNative __attribute__((vector_size(kNativeBytes), may_alias));

struct Vector {
  Native part[kParts];
};

NETSURGERY_INLINE Vector load(const float* at) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = reinterpret_cast<const AlignedNative*>(at)[i];
  return v;
}

NETSURGERY_INLINE Vector load_unaligned(const float* at) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = reinterpret_cast<const UnalignedNative*>(at)[i];
  return v;
}

NETSURGERY_INLINE void store(float* at, const Vector& v) {
  for (int i = 0; i < kParts; ++i) reinterpret_cast<AlignedNative*>(at)[i] = v.part[i];
}

NETSURGERY_INLINE Vector broadcast(float value) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = value - Native{};  // exact, -0 too, and known to be nothing but a copy
  return v;
}

NETSURGERY_INLINE Vector operator+(const Vector& a, const Vector& b) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] + b.part[i];
  return v;
}

NETSURGERY_INLINE Vector operator-(const Vector& a, const Vector& b) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] - b.part[i];
  return v;
}

NETSURGERY_INLINE Vector operator*(const Vector& a, const Vector& b) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] * b.part[i];
  return v;
}

/// a * b + c, rounded once where the instruction set can (kernel units allow contraction).
NETSURGERY_INLINE Vector multiply_add(const Vector& a, const Vector& b, const Vector& c) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = a.part[i] * b.part[i] + c.part[i];
  return v;
}

/// The larger one of a limit, which is no NaN, and x; x if that is NaN.
NETSURGERY_INLINE Vector at_least(const Vector& limit, const Vector& x) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = limit.part[i] > x.part[i] ? limit.part[i] : x.part[i];
  return v;
}

/// The smaller one of a limit, which is no NaN, and x; x if that is NaN.
NETSURGERY_INLINE Vector at_most(const Vector& limit, const Vector& x) {
  Vector v;
  for (int i = 0; i < kParts; ++i) v.part[i] = limit.part[i] < x.part[i] ? limit.part[i] : x.part[i];
  return v;
}

/// The larger one; NaN if either is.
NETSURGERY_INLINE Vector maximum(const Vector& a, const Vector& b) {
  Vector v;
  for (int i = 0; i < kParts; ++i) {
    const NativeInts keep = (a.part[i] >= b.part[i]) | (a.part[i] != a.part[i]);
    v.part[i] = keep ? a.part[i] : b.part[i];
  }
  return v;
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
