// The floating-point environment that results are promised for: IEEE's own rounding, subnormal numbers kept.
#pragma once

#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace netsurgery {

/// While it lives, this thread rounds to nearest and keeps subnormal numbers, whatever the caller (or a library built
/// with -ffast-math) has set; then the caller's settings are back. A few nanoseconds. Without it a sum would depend on
/// which thread did it.
class DefaultArithmetic {
 public:
#if defined(__SSE__)
  DefaultArithmetic() : before_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~DefaultArithmetic() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kDefault = 0x1F80;  // no exception traps, to nearest, no flushing
  unsigned before_;
#elif defined(__aarch64__) && defined(__GNUC__)
  DefaultArithmetic() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" ::"r"(std::uint64_t{0}));
  }
  ~DefaultArithmetic() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

 private:
  std::uint64_t before_;
#else
  DefaultArithmetic() {}
  ~DefaultArithmetic() {}
#endif

 public:
  DefaultArithmetic(const DefaultArithmetic&) = delete;
  DefaultArithmetic& operator=(const DefaultArithmetic&) = delete;
};

}  // namespace netsurgery
