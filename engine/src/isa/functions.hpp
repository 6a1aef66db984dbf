// Functions of one float, as loops that compilers turn into vectors: no branches, no tables, no calls. NaN gives NaN,
// infinities their limits. An ulp is the distance of neighbouring floats around the exact value; the bounds are those
// that tests/engine/test_plain_functions.py measures. For kernel units, as simd.hpp.
#pragma once

#include "isa/simd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

NETSURGERY_INLINE float float_of(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

NETSURGERY_INLINE std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// A power of e as mantissa * first * second: multiplied in that order nothing is rounded but the end, even where the
/// result is subnormal. The factors are powers of two, the mantissa is in [0.6, 1.6], or 0.
struct Exponential {
  float mantissa, first, second;
};

NETSURGERY_INLINE float value_of(const Exponential& e) { return e.mantissa * e.first * e.second; }

constexpr float kLowestExponent = -126.0f;  // e^-126 is 0 as a float, also times 126

/// e^(high + low), high <= 0, |low| <= 2^-10 |high|: within 1 ulp of mantissa. 0 below kLowestExponent, whatever `low`.
///
/// With n = round(high / ln 2) and r the rest, e^r = 1 + r + r^2 p(r) (minimax on |r| <= ln 2 / 2: off by 3e-9, and
/// by 2e-8 where `low` leads further).
/// ln 2 is split into a part of 9 bits, whose product with n is exact, and the rest (Cody and Waite).
NETSURGERY_INLINE Exponential exponential(float high, float low) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to a whole number
  constexpr float kLogHigh = 0.693359375f, kLogLow = -2.12194440e-4f;
  const float held = high < kLowestExponent ? kLowestExponent : high;
  const float shifted = held * 1.44269504f + kMagic;
  const float count = shifted - kMagic;
  const float r = (held - count * kLogHigh) - (count * kLogLow - low);
  float p = 0.00139504869f;
  p = p * r + 0.00836888794f;
  p = p * r + 0.0416662060f;
  p = p * r + 0.166665182f;
  p = p * r + 0.5f;
  const float mantissa = (r * r * p + r) + 1.0f;
  const std::uint32_t n = bits_of(shifted) - bits_of(kMagic);  // may be negative, and anything for NaN
  const auto half = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) >> 1);
  Exponential result;
  result.mantissa = high < kLowestExponent ? 0.0f : mantissa;
  result.first = float_of((half + 127u) << 23);
  result.second = float_of((n - half + 127u) << 23);
  return result;
}

/// e^x for x <= 0, and 0 below -87.3; x that is NaN gives NaN. Within 2 ulp. As `exponential`.
NETSURGERY_INLINE Vector power_below_one(const Vector& x) {
  const Vector magic = broadcast(12582912.0f);
  const Vector shifted = multiply_add(x, broadcast(1.44269504f), magic);
  const Vector count = shifted - magic;
  Vector r = multiply_add(count, broadcast(-0.693359375f), x);
  r = multiply_add(count, broadcast(2.12194440e-4f), r);
  Vector p = broadcast(0.00139504869f);
  p = multiply_add(p, r, broadcast(0.00836888794f));
  p = multiply_add(p, r, broadcast(0.0416662060f));
  p = multiply_add(p, r, broadcast(0.166665182f));
  p = multiply_add(p, r, broadcast(0.5f));
  p = multiply_add(r * r, p, r) + broadcast(1.0f);
  Vector result;
  for (int i = 0; i < kParts; ++i) {
    const NativeInts factor = (as_ints(shifted.part[i]) << 23) + (127 << 23);  // what the magic adds is shifted out
    const Native made = p.part[i] * as_floats(factor);
    result.part[i] = x.part[i] < -87.3f ? Native{} : made;
  }
  return result;
}

/// e^(x - largest), x <= largest. What the difference loses by rounding counts (Knuth's TwoSum): for a small share it
/// is more than an ulp. Within 1 ulp.
NETSURGERY_INLINE float power_below(float x, float largest) {
  const float difference = x - largest;
  const float back = difference - x;
  const float low = (x - (difference - back)) - (largest + back);
  return value_of(exponential(difference, low));
}

/// x, or the limit that it lies beyond. NaN stays.
NETSURGERY_INLINE float within(float x, float low, float high) {
  const float risen = x < low ? low : x;
  return risen > high ? high : risen;
}

/// e^(high + low), -87 <= high < 89, |low| <= 2^-10 |high|: within 2 ulp, infinity from 88.4 on. As `exponential`,
/// without what results near 0 take.
NETSURGERY_INLINE float power_of_e(float high, float low) {
  constexpr float kMagic = 12582912.0f;
  const float shifted = high * 1.44269504f + kMagic;
  const float count = shifted - kMagic;
  const float r = (high - count * 0.693359375f) - (count * -2.12194440e-4f - low);
  float p = 0.00139504869f;
  p = p * r + 0.00836888794f;
  p = p * r + 0.0416662060f;
  p = p * r + 0.166665182f;
  p = p * r + 0.5f;
  const float mantissa = (r * r * p + r) + 1.0f;
  return mantissa * float_of((bits_of(shifted) << 23) + (127u << 23));  // what the magic adds is shifted out
}

/// The upper half of a number's digits: products of two such are exact.
NETSURGERY_INLINE float upper_half(float x) { return float_of(bits_of(x) & 0xFFFFF000u); }

// Of these four, results nearer to 0 than 4e-37 may be off by as much.

/// 1 / (1 + e^-x), within 3 ulp.
NETSURGERY_INLINE float sigmoid(float x) { return 1.0f / (1.0f + power_of_e(within(-x, -87.0f, 89.0f), 0.0f)); }

/// x / (1 + e^-x), within 3 ulp.
NETSURGERY_INLINE float silu(float x) { return x / (1.0f + power_of_e(within(-x, -87.0f, 89.0f), 0.0f)); }

/// x * Phi(x), Phi the normal distribution; within 6 ulp.
///
/// With a = |x|: Phi(-a) = e^(-a^2/2) g(a), and g(a) (a + 3) is smooth, a polynomial in u = (a - 3) / (a + 3) (minimax
/// for a in [0, 15]: off by 2e-8). a^2 is split in an exact square and a rest. Where a > 12.9 the tail is 0.
NETSURGERY_INLINE float gelu(float x) {
  constexpr float kFurthest = 12.9f;
  const float size = __builtin_fabsf(x);
  const float a = size > kFurthest ? kFurthest : size;
  const float high = upper_half(a);
  const float power = power_of_e(-0.5f * high * high, -0.5f * (a - high) * (a + high));
  const float inverse = 1.0f / (a + 3.0f);
  const float u = (a - 3.0f) * inverse;
  float g = 5.45130378e-05f;
  g = g * u - 0.000199391106f;
  g = g * u - 0.000947222521f;
  g = g * u + 0.00101350993f;
  g = g * u + 0.00693685515f;
  g = g * u - 0.0104615185f;
  g = g * u - 0.0472580194f;
  g = g * u + 0.230017632f;
  g = g * u - 0.509332180f;
  g = g * u + 0.729083717f;
  const float tail = size > kFurthest ? 0.0f : g * inverse * power;
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

/// x / (1 + e^-2y), y = sqrt(2/pi) (x + 0.044715 x^3); within 3 ulp.
///
/// 2y = x (A + B x^2) is two floats: what its rounding loses counts where e^-2y is large. Numbers are split in halves,
/// whose products are exact; sums keep what they lose (Dekker).
NETSURGERY_INLINE float gelu_by_tanh(float x) {
  constexpr double kScale = 2.0 * 0.79788456080286535588, kCubic = kScale * 0.044715;
  constexpr float kA = static_cast<float>(kScale), kRestOfA = static_cast<float>(kScale - static_cast<double>(kA));
  constexpr float kB = 0.07135009765625f;  // of 12 bits
  constexpr float kRestOfB = static_cast<float>(kCubic - static_cast<double>(kB));
  const float z = within(x, -10.06f, 10.0f);  // e^-2y is infinite, or 0 beside 1
  const float upper = upper_half(z), rest = z - upper;
  const float square = upper * upper, rest_of_square = rest * (z + upper);
  const float upper_square = upper_half(square);
  const float term = kB * upper_square;
  const float sum = term + kA;
  const float larger = term > kA ? term : kA, smaller = term > kA ? kA : term;
  const float rest_of_sum = (smaller - (sum - larger)) + kRestOfA + kB * (square - upper_square) + kRestOfB * square +
                            static_cast<float>(kCubic) * rest_of_square;
  const float upper_sum = upper_half(sum), rest_of_factor = (sum - upper_sum) + rest_of_sum;
  const float high = -upper * upper_sum;
  const float low = -(upper * rest_of_factor + rest * (sum + rest_of_sum));
  return x / (1.0f + power_of_e(high, low));
}

/// tanh x as x p(x^2) / q(x^2), which is off by 2e-8 where it isn't 1 yet; within 6 ulp.
NETSURGERY_INLINE float hyperbolic_tangent(float x) {
  const float a = within(x, -9.02f, 9.02f), square = a * a;
  float p = 1.33554547e-08f;
  p = p * square + 2.06097113e-05f;
  p = p * square + 0.00349562868f;
  p = p * square + 0.133810605f;
  p = p * square + 0.999999979f;
  float q = 7.77689985e-07f;
  q = q * square + 0.000328569952f;
  q = q * square + 0.0258771388f;
  q = q * square + 0.467143761f;
  q = q * square + 1.0f;
  return within(a * p / q, -1.0f, 1.0f);
}

/// x * min(max(x / 6 + 1/2, 0), 1) as x * min(max(x + 3, 0), 6) / 6, which doesn't cancel at -3; within 3 ulp.
NETSURGERY_INLINE float hard_swish(float x) {
  float rising = x + 3.0f;
  rising = rising < 0.0f ? 0.0f : rising;
  rising = rising > 6.0f ? 6.0f : rising;
  return x * (rising * 0.166666672f);
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
