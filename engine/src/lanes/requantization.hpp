// What becomes of exact sums, as a product of 16 bits where that is the same number (netsurgery/graph/requantization.py
// makes scales and shifts for which it is).
#pragma once

#include <vector>

#include "lanes/fixed_point.hpp"

namespace netsurgery {

/// Fills `offset` and `factor` of an ending for the output channels whose sums have at most these magnitudes.
void put_short_factors(FixedEnding& ending, const std::vector<double>& largest_sums);

/// How a residual of a grid is added to a rounded output in 16 bits: see FixedFinish. made, other, last: exponents of
/// the grids of the output, the residual and the sum; largest_other: of the residual's magnitudes. Forgets `factor`
/// where that would give other numbers than floats do.
void put_short_residual(FixedEnding& ending, int made, int other, int last, Size largest_other);

}  // namespace netsurgery
