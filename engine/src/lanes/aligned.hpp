// Numbers that kernels read vector by vector.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

#include "lanes/layout.hpp"

namespace netsurgery {

template <class Number>
struct Aligned {
  using value_type = Number;
  Aligned() = default;
  template <class Other>
  Aligned(const Aligned<Other>&) {}
  Number* allocate(std::size_t count) {
    return static_cast<Number*>(::operator new(count * sizeof(Number), std::align_val_t(kAlignment)));
  }
  void deallocate(Number* numbers, std::size_t) { ::operator delete(numbers, std::align_val_t(kAlignment)); }
  bool operator==(const Aligned&) const { return true; }
  bool operator!=(const Aligned&) const { return false; }
};

/// Their address is a multiple of a cache line, so that no vector of 16 from a multiple of 16 on lies in two lines:
/// those take twice as long to load.
using AlignedFloats = std::vector<float, Aligned<float>>;

}  // namespace netsurgery
