#include "lanes/requantization.hpp"

#include <algorithm>
#include <cmath>

namespace netsurgery {
namespace {

constexpr double kProduct = 65536.0;   // what products of 16 bits are divided by
constexpr double kExact = 16777216.0;  // whole numbers up to here are float32
constexpr int kLowestShort = -32768;

struct ShortFactor {
  std::int16_t offset = 0, factor = 0;
  int doublings = 0;
};

int lowest_bit(int number) {
  int bit = 0;
  while (number % 2 == 0) number /= 2, ++bit;
  return bit;
}

/// (S + offset) * factor >> 16, where that is what float32 makes of S * scale + shift for all |S| <= largest and
/// limits.
ShortFactor short_factor(double scale, double shift, double largest, double low, double high) {
  const double factor = scale * kProduct;
  if (!(factor >= 1 && factor <= kLargestShort) || factor != std::floor(factor) || largest > kLargestShort) return {};
  // In units of 1 / kProduct a result is (S + offset) * factor + rest, and is rounded downwards, if half a step counts
  // to the shift. Where `rest` is less than what products are multiples of it decides nothing; nor is it ever 0, so
  // that no result lies in the middle of two whole numbers.
  const double raised = (shift + 0.5) * kProduct;
  const double offset = std::floor(raised / factor), rest = raised - offset * factor;
  const double multiple = std::ldexp(1.0, lowest_bit(static_cast<int>(factor)));
  int exponent = 0;
  if (!(rest > 0 && rest < multiple) || std::frexp(rest, &exponent) != 0.5) return {};
  if (std::abs(offset) > kLargestShort) return {};
  // Nothing rounds: neither the product, nor the sum, as far as it isn't cut.
  if (largest * (factor / multiple) >= kExact) return {};
  if ((std::max(-low, high) + 1) * kProduct / rest > kExact) return {};
  // A sum beyond 16 bits is the furthest of them: that has to be cut, too.
  const double most = std::floor(kLargestShort * factor / kProduct),
               least = std::floor(kLowestShort * factor / kProduct);
  if (largest + std::abs(offset) > kLargestShort && (most < high || least > low)) return {};
  return {static_cast<std::int16_t>(offset), static_cast<std::int16_t>(factor)};
}

}  // namespace

void put_short_factors(FixedEnding& ending, const std::vector<double>& largest_sums) {
  for (std::size_t i = 0; i < largest_sums.size(); ++i) {
    ShortFactor made;
    for (int doublings = 0; made.factor == 0 && doublings <= kHighestPower; ++doublings) {
      made = short_factor(std::ldexp(static_cast<double>(ending.scale[i]), -doublings),
                          static_cast<double>(ending.shift[i]), std::ldexp(largest_sums[i], doublings),
                          static_cast<double>(ending.low), static_cast<double>(ending.high));
      made.doublings = doublings;
    }
    ending.offset.push_back(made.offset);
    ending.factor.push_back(made.factor);
    ending.doublings.push_back(static_cast<std::uint8_t>(made.factor == 0 ? 0 : made.doublings));
  }
}

void put_short_residual(FixedEnding& ending, int made, int other, int last, Size largest_other) {
  constexpr int kMostBits = 14;
  const int finest = std::min(made, other), own_up = made - finest, up = other - finest, down = last - finest;
  const auto fits = [&] {
    if (std::max({own_up, up, down}) > kMostBits || down < 0 || (largest_other << up) > kLargestShort) return false;
    const double own =
        std::ldexp(std::max(std::abs(static_cast<double>(ending.low)), static_cast<double>(ending.high)), own_up);
    if (own > kLargestShort) return false;
    const double most = own + static_cast<double>(largest_other << up) + static_cast<double>(Size{1} << down);
    // A sum beyond 16 bits is the furthest of them: that has to be cut, too.
    return most <= kLargestShort || ((kLargestShort >> down) >= static_cast<Size>(ending.last_high) &&
                                     (kLowestShort >> down) <= static_cast<int>(ending.last_low));
  };
  if (!fits()) {
    ending.offset.clear();
    ending.factor.clear();
    ending.doublings.clear();
    return;
  }
  ending.own_bits = own_up;
  ending.residual_bits = up;
  ending.last_bits = down;
}

}  // namespace netsurgery
