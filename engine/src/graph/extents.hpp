// Numbers that follow open axes: netsurgery/graph/extents.py says what they are and why they have this form.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "graph/operators.hpp"

namespace netsurgery {

using Size = std::int64_t;

constexpr std::size_t kMostOpenAxes = NS_MOST_OPEN_AXES;
/// Sizes of the open axes, by their numbers; 0 for those that a graph doesn't have.
using Sizes = std::array<Size, kMostOpenAxes>;

struct ExtentTerm;

/// The sum over the terms of coefficient times the product of factors.
struct Extent {
  std::vector<ExtentTerm> terms;

  /// Throws Error(NS_ERROR_FILE) where a number on the way lies beyond +-2^62.
  Size at(const Sizes& sizes) const;
  bool follows(std::size_t axis) const;
  /// Behind how many entries of an axis the stairs of quotients repeat, at most `most`.
  Size period(Size most) const;
};

struct ExtentFactor {
  enum class Kind : std::uint8_t { kAxis, kQuotient, kAbove };
  Kind kind = Kind::kAxis;
  std::size_t axis = 0;  // kAxis: its size
  Size divisor = 1;      // kQuotient: floor(of / divisor)
  Extent of;             // kAbove: max(of, 0)
};

struct ExtentTerm {
  Size coefficient = 0;
  std::vector<ExtentFactor> factors;
};

}  // namespace netsurgery
