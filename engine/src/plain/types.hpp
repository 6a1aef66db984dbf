// Kernels for entries of several types: what a template is made for, and how its memory is seen.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "graph/value_types.hpp"

namespace netsurgery::plain {

/// visit(Entry()), Entry being what C++ has for the type.
template <class Visit>
auto with_type(ValueType type, Visit&& visit) {
  switch (type) {
    case ValueType::kInt32:
      return visit(std::int32_t{});
    case ValueType::kInt64:
      return visit(std::int64_t{});
    case ValueType::kBool:
      return visit(std::uint8_t{});
    default:
      return visit(float{});
  }
}

/// The same for whole numbers alone.
template <class Visit>
auto with_whole(ValueType type, Visit&& visit) {
  return type == ValueType::kInt32 ? visit(std::int32_t{}) : visit(std::int64_t{});
}

/// The same for numbers, without bools.
template <class Visit>
auto with_number(ValueType type, Visit&& visit) {
  return type == ValueType::kFloat32 ? visit(float{}) : with_whole(type, visit);
}

using Bool = std::uint8_t;

/// The same number as another type: a float is cut off towards zero and kept within bounds, NaN becomes 0.
template <class Out, class In>
inline Out cast(In x) {
  if constexpr (std::is_same_v<Out, Bool>) {
    return x != 0;
  } else if constexpr (std::is_same_v<In, Bool>) {
    return static_cast<Out>(x != 0);
  } else if constexpr (std::is_same_v<In, float> && !std::is_same_v<Out, float>) {
    // The largest number plus one is a float; the largest itself may be none.
    constexpr Out kLow = std::numeric_limits<Out>::min(), kHigh = std::numeric_limits<Out>::max();
    constexpr float kBound = -static_cast<float>(kLow);
    if (x >= kBound) return kHigh;
    if (x < -kBound) return kLow;
    return x != x ? Out{0} : static_cast<Out>(x);
  } else {
    return static_cast<Out>(x);  // of int64 the lower half
  }
}

/// Memory that a kernel gets as that of floats, as what lies there.
template <class Entry>
const Entry* seen_as(const float* memory) {
  return reinterpret_cast<const Entry*>(memory);
}
template <class Entry>
Entry* seen_as(float* memory) {
  return reinterpret_cast<Entry*>(memory);
}

/// As many bits, without a sign: whole numbers wrap around there, where signed ones have no result.
template <class Entry>
using Unsigned = std::make_unsigned_t<Entry>;

}  // namespace netsurgery::plain
