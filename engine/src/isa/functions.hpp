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

/// e^(x - largest), x <= largest. What the difference loses by rounding counts (Knuth's TwoSum): for a small share it
/// is more than an ulp. Within 1 ulp.
NETSURGERY_INLINE float power_below(float x, float largest) {
  const float difference = x - largest;
  const float back = difference - x;
  const float low = (x - (difference - back)) - (largest + back);
  return value_of(exponential(difference, low));
}

/// x / (1 + e^-w), given -|w| as high + low, so that neither overflows nor loses what is near 0.
NETSURGERY_INLINE float times_sigmoid(float x, bool w_is_negative, float high, float low) {
  const Exponential e = exponential(high, low);
  const float mantissa = w_is_negative ? e.mantissa : 1.0f;
  const float first = w_is_negative ? e.first : 1.0f;
  const float second = w_is_negative ? e.second : 1.0f;
  return x * mantissa / (1.0f + value_of(e)) * first * second;
}

/// 1 / (1 + e^-x), within 3 ulp.
NETSURGERY_INLINE float sigmoid(float x) { return times_sigmoid(1.0f, x < 0.0f, -__builtin_fabsf(x), 0.0f); }

/// x / (1 + e^-x), within 3 ulp.
NETSURGERY_INLINE float silu(float x) { return times_sigmoid(x, x < 0.0f, -__builtin_fabsf(x), 0.0f); }

/// tanh x = (1 - e^-2|x|) / (1 + e^-2|x|), or near 0, where that cancels, x + x^3 p(x^2); within 2 ulp.
NETSURGERY_INLINE float hyperbolic_tangent(float x) {
  const float size = __builtin_fabsf(x);
  const float square = x * x;
  float p = -0.00571704470f;
  p = p * square + 0.0206505880f;
  p = p * square - 0.0537434965f;
  p = p * square + 0.133314908f;
  p = p * square - 0.333332837f;
  const float near = x + x * (square * p);
  const float e = value_of(exponential(-2.0f * size, 0.0f));
  const float far = __builtin_copysignf((1.0f - e) / (1.0f + e), x);
  return size < 0.625f ? near : far;
}

/// x * Phi(x), Phi the normal distribution; within 6 ulp.
///
/// With a = |x|: Phi(-a) = e^(-a^2/2) g(a), and g(a) (a + 3) is smooth, a polynomial in u = (a - 3) / (a + 3) (minimax
/// for a in [0, 15]: off by 2e-8). a^2 is split in an exact square and a rest. Where a > 15 the tail is 0.
NETSURGERY_INLINE float gelu(float x) {
  constexpr float kFurthest = 15.0f;
  const float size = __builtin_fabsf(x);
  const float a = size > kFurthest ? kFurthest : size;
  const float high = float_of(bits_of(a) & 0xFFFFF000u);
  Exponential e = exponential(-0.5f * high * high, -0.5f * (a - high) * (a + high));
  e.mantissa = size > kFurthest ? 0.0f : e.mantissa;
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
  g = g * inverse * e.mantissa;
  const float falling = x * g * e.first * e.second;
  const float rising = x * (1.0f - g * e.first * e.second);
  return x < 0.0f ? falling : rising;
}

/// x / (1 + e^-2y), y = sqrt(2/pi) (x + 0.044715 x^3); within 3 ulp.
NETSURGERY_INLINE float gelu_by_tanh(float x) {
  constexpr double kScale = 2.0 * 0.79788456080286535588;
  const double size = static_cast<double>(__builtin_fabsf(x));
  const double exact = size * (kScale + kScale * 0.044715 * size * size);
  const double w = exact > 1000.0 ? 1000.0 : exact;  // which e^-w doesn't tell from infinity
  const float high = static_cast<float>(-w);
  const float low = static_cast<float>(-w - static_cast<double>(high));
  return times_sigmoid(x, x < 0.0f, high, low);
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
