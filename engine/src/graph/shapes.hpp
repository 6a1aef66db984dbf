// The shape of an operator's output from those of its operands: the rules of netsurgery/graph/shapes.py, and what they
// refuse. Sizes are those of possible shapes (below), so that nothing here can overflow.
#pragma once

#include <limits>
#include <vector>

#include "graph/graph.hpp"

namespace netsurgery {

constexpr Size kLargestSize = kLargestInteger;
constexpr Size kMostEntries = Size{1} << 60;  // of a value, whatever the batch
constexpr Size kUncounted = std::numeric_limits<Size>::max();

/// The entries of a value of this shape; kUncounted where that many or more don't fit.
Size entries_of(const Shape& shape);
/// a * b for numbers that aren't negative; kUncounted where it doesn't fit.
Size product_of(Size a, Size b);
/// Throws Error(NS_ERROR_FILE) unless all sizes are 1 .. kLargestSize and there are at most kMostEntries entries.
void require_possible(const Shape& shape);

/// operands: as in a node, nullptr where one is left out (at the end also by leaving it out here).
/// Throws Error(NS_ERROR_FILE) that says what doesn't fit. The result may be no possible shape.
Shape output_shape(Operator op, const std::vector<const Shape*>& operands, const Attributes& attributes);

}  // namespace netsurgery
