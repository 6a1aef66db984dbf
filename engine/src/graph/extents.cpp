#include "graph/extents.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "base/error.hpp"

namespace netsurgery {
namespace {

constexpr Size kLargestStep = Size{1} << 62;

Size counted(Size number) {
  if (std::abs(number) > kLargestStep)
    throw Error(NS_ERROR_FILE, "a number that follows open axes is too large to be counted in 64 bits.");
  return number;
}

/// Of two numbers that are counted.
Size product(Size a, Size b) {
  if (a != 0 && std::abs(b) > kLargestStep / std::abs(a)) return counted(kLargestStep + 1);
  return a * b;
}

Size floor_of(Size number, Size divisor) {
  return number / divisor - (number % divisor < 0 ? 1 : 0);  // / rounds towards 0
}

Size value_of(const ExtentFactor& factor, const Sizes& sizes) {
  switch (factor.kind) {
    case ExtentFactor::Kind::kQuotient:
      return floor_of(factor.of.at(sizes), factor.divisor);
    case ExtentFactor::Kind::kAbove:
      return std::max(factor.of.at(sizes), Size{0});
    default:
      return sizes[factor.axis];
  }
}

}  // namespace

Size Extent::at(const Sizes& sizes) const {
  Size total = 0;
  for (const ExtentTerm& term : terms) {
    Size value = term.coefficient;
    for (const ExtentFactor& factor : term.factors) value = product(value, value_of(factor, sizes));
    total = counted(total + value);
  }
  return total;
}

bool Extent::follows(std::size_t axis) const {
  for (const ExtentTerm& term : terms)
    for (const ExtentFactor& factor : term.factors)
      if (factor.kind == ExtentFactor::Kind::kAxis ? factor.axis == axis : factor.of.follows(axis)) return true;
  return false;
}

Size Extent::period(Size most) const {
  Size common = 1;
  for (const ExtentTerm& term : terms)
    for (const ExtentFactor& factor : term.factors) {
      if (factor.kind == ExtentFactor::Kind::kAxis) continue;
      const Size inner = factor.of.period(most),
                 own = factor.kind == ExtentFactor::Kind::kQuotient ? factor.divisor : 1;
      const Size together = own > most / inner ? most : inner * own;
      common = std::min(common / std::gcd(common, together) * together, most);
    }
  return common;
}

}  // namespace netsurgery
