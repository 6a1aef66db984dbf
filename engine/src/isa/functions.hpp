// Functions of one float: of some registers side by side, or as loops that compilers turn into vectors. No branches, no
// calls, no tables but in registers. NaN gives NaN, infinities their limits. An ulp is the distance of neighbouring
// floats around the exact value; the bounds are those that tests/engine/test_plain_functions.py measures. For kernel
// units, as simd.hpp.
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

#if defined(__AVX2__)
constexpr int kPlaceBits = kNativeBytes == 64 ? 4 : 3;  // as many places as a register has lanes
/// The bits of 2^(j / places), less j below those of the exponent: what adds n * places + j there makes
/// 2^(n + j / places) of them.
alignas(64) constexpr std::uint32_t kPowers[] = {
#if defined(__AVX512F__)
    0x3f800000u, 0x3f7daac3u, 0x3f7b95c2u, 0x3f79c3d3u, 0x3f7837f0u, 0x3f76f532u, 0x3f75fed7u, 0x3f75583fu,
    0x3f7504f3u, 0x3f7508a4u, 0x3f75672au, 0x3f76248cu, 0x3f7744fdu, 0x3f78ccdfu, 0x3f7ac0c7u, 0x3f7d257du};
#else
    0x3f800000u, 0x3f7b95c2u, 0x3f7837f0u, 0x3f75fed7u, 0x3f7504f3u, 0x3f75672au, 0x3f7744fdu, 0x3f7ac0c7u};
#endif

/// That of the lowest bits of each lane.
NETSURGERY_INLINE NativeBits picked_powers(NativeBits places) {
#if defined(__AVX512F__)
  return reinterpret_cast<NativeBits>(
      _mm512_permutexvar_epi32(reinterpret_cast<__m512i>(places), _mm512_load_si512(kPowers)));
#else
  return reinterpret_cast<NativeBits>(_mm256_permutevar8x32_epi32(
      _mm256_load_si256(reinterpret_cast<const __m256i*>(kPowers)), reinterpret_cast<__m256i>(places)));
#endif
}
#endif

/// e^(high + low), which is `both` but for a rounding; -87.3 <= both < 88.4, |low| <= 2^-10 |high|. Within 2 ulp, and
/// NaN if `high` is.
///
/// Where registers hold a table, with n = round(both places / ln 2) and r the rest, e^r = 1 + r + r^2 p(r) is a cubic
/// (minimax: off by 2e-9 with 16 places, by 3e-8 with 8); elsewhere as `exponential`.
NETSURGERY_INLINE Native power_of_e(Native high, Native low, Native both) {
  constexpr float kMagic = 12582912.0f;  // what it adds to the lowest bits is shifted out
#if defined(__AVX512F__)
  constexpr float kLogHigh = 0.0433197021484f, kLogLow = 1.99663656e-06f, kPerLog = 23.0831207f, kSquare = 0.500016195f;
#elif defined(__AVX2__)
  constexpr float kLogHigh = 0.0866394042969f, kLogLow = 3.99327312e-06f, kPerLog = 11.5415603f, kSquare = 0.500064782f;
#else
  constexpr float kLogHigh = 0.693359375f, kLogLow = -2.12194440e-4f, kPerLog = 1.44269504f;
#endif
  const Native magic = kMagic - Native{};
  const Native shifted = both * kPerLog + magic;
  const Native count = shifted - magic;
  const Native r = (high - count * kLogHigh) - (count * kLogLow - low);
#if defined(__AVX2__)
  const Native power = as_floats(picked_powers(as_bits(shifted)) + (as_bits(shifted) << (23 - kPlaceBits)));
  // In this order nothing on the way is subnormal, which some processors take a hundred cycles for.
  return power + power * (r * ((r * 0.166666672f + kSquare) * r + 1.0f));
#else
  Native p = r * 0.00139504869f + 0.00836888794f;
  p = p * r + 0.0416662060f;
  p = p * r + 0.166665182f;
  p = p * r + 0.5f;
  const Native mantissa = (r * r * p + r) + 1.0f;
  return mantissa * as_floats((as_bits(shifted) << 23) + (127u << 23));
#endif
}

/// e^x, -87.3 <= x < 88.4.
NETSURGERY_INLINE Native power_of_e(Native x) { return power_of_e(x, Native{}, x); }

/// e^x for x <= 0, and 0 below -87.3; x that is NaN gives NaN. Within 2 ulp.
NETSURGERY_INLINE Vector power_below_one(const Vector& x) {
  constexpr float kLowest = -87.3f;
  Vector result;
  for (int i = 0; i < kParts; ++i) {
    const Native made = power_of_e(at_least(kLowest - Native{}, x.part[i]));
    result.part[i] = x.part[i] < kLowest ? Native{} : made;
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

/// Some registers of floats, each operation on one after the other: a quotient or a polynomial of one register waits
/// for itself, that of several doesn't. Functions that cut or choose are written for these: as loops over floats,
/// compilers compute a quotient once for each case.
struct Wide {
  static constexpr int kParts = kRegisters >= 32 ? 4 : 2;
  static constexpr int kFloats = kParts * (kNativeBytes / 4);

  Native part[kParts];

  Wide() = default;
  NETSURGERY_INLINE Wide(float value) {  // constants stand among registers
#pragma GCC unroll 4
    for (Native& one : part) one = value - Native{};
  }

  /// of(i) of each part.
  template <class Of>
  static NETSURGERY_INLINE Wide each(Of&& of) {
    Wide made;
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) made.part[i] = of(i);
    return made;
  }
};

NETSURGERY_INLINE Wide operator+(const Wide& a, const Wide& b) {
  return Wide::each([&](int i) { return a.part[i] + b.part[i]; });
}
NETSURGERY_INLINE Wide operator-(const Wide& a, const Wide& b) {
  return Wide::each([&](int i) { return a.part[i] - b.part[i]; });
}
NETSURGERY_INLINE Wide operator*(const Wide& a, const Wide& b) {
  return Wide::each([&](int i) { return a.part[i] * b.part[i]; });
}
NETSURGERY_INLINE Wide operator/(const Wide& a, const Wide& b) {
  return Wide::each([&](int i) { return a.part[i] / b.part[i]; });
}
NETSURGERY_INLINE Wide operator-(const Wide& a) {
  return Wide::each([&](int i) { return -a.part[i]; });
}

/// a where x < y, b elsewhere.
NETSURGERY_INLINE Wide where_less(const Wide& x, const Wide& y, const Wide& a, const Wide& b) {
  return Wide::each([&](int i) { return x.part[i] < y.part[i] ? a.part[i] : b.part[i]; });
}

/// x, or the limit that it lies beyond. NaN stays.
NETSURGERY_INLINE Wide within(const Wide& x, float low, float high) {
  return Wide::each([&](int i) { return at_most(high - Native{}, at_least(low - Native{}, x.part[i])); });
}

/// Of each register.
NETSURGERY_INLINE Wide power_of_e(const Wide& x) {
  return Wide::each([&](int i) { return power_of_e(x.part[i]); });
}
NETSURGERY_INLINE Wide power_of_e(const Wide& high, const Wide& low) {
  return Wide::each([&](int i) { return power_of_e(high.part[i], low.part[i], high.part[i] + low.part[i]); });
}

/// The upper half of a number's digits: products of two such are exact.
NETSURGERY_INLINE Wide upper_half(const Wide& x) {
  return Wide::each([&](int i) { return as_floats(as_bits(x.part[i]) & ~0xFFFu); });
}

NETSURGERY_INLINE Wide magnitude(const Wide& x) {
  return Wide::each([&](int i) { return as_floats(as_bits(x.part[i]) & 0x7FFFFFFFu); });
}

// Of these four, results nearer to 0 than 1.1e-36 may be off by as much.

/// 1 / (1 + e^-x), within 3 ulp; 0 below -87.3, where floats are about to end.
NETSURGERY_INLINE Wide sigmoid(const Wide& x) {
  constexpr float kLowest = -87.3f;
  const Wide above_one = 1.0f + power_of_e(within(-x, -87.0f, -kLowest));
  return Wide::each([&](int i) {
#if defined(__AVX512F__)  // a quotient of 16 takes as long as ten products; Newton's step doubles the digits of a guess
    const __m512 guess = _mm512_rcp14_ps(above_one.part[i]);
    const __m512 rest = _mm512_fnmadd_ps(above_one.part[i], guess, _mm512_set1_ps(1.0f));
    const __mmask16 is_above = _mm512_cmp_ps_mask(x.part[i], _mm512_set1_ps(kLowest), _CMP_NLT_UQ);
    return Native{_mm512_maskz_fmadd_ps(is_above, guess, rest, guess)};
#else
    return x.part[i] < kLowest ? Native{} : 1.0f / above_one.part[i];
#endif
  });
}

/// x / (1 + e^-x), within 3.5 ulp.
NETSURGERY_INLINE Wide silu(const Wide& x) { return x * sigmoid(x); }

/// x * Phi(x), Phi the normal distribution; within 6 ulp.
///
/// With a = |x|: Phi(-a) = e^(-a^2/2) g(a), and g(a) (a + 3) is smooth, a polynomial in u = (a - 3) / (a + 3) (minimax
/// for a in [0, 15]: off by 2e-8). a^2 is split in an exact square and a rest. Where a > 12.9 the tail is 0.
NETSURGERY_INLINE Wide gelu(const Wide& x) {
  constexpr float kFurthest = 12.9f;
  const Wide size = magnitude(x);
  const Wide a = where_less(kFurthest, size, kFurthest, size);
  const Wide high = upper_half(a);
  const Wide power = power_of_e(-0.5f * high * high, -0.5f * (a - high) * (a + high));
  const Wide inverse = 1.0f / (a + 3.0f);
  const Wide u = (a - 3.0f) * inverse;
  Wide g = 5.45130378e-05f;
  g = g * u - 0.000199391106f;
  g = g * u - 0.000947222521f;
  g = g * u + 0.00101350993f;
  g = g * u + 0.00693685515f;
  g = g * u - 0.0104615185f;
  g = g * u - 0.0472580194f;
  g = g * u + 0.230017632f;
  g = g * u - 0.509332180f;
  g = g * u + 0.729083717f;
  const Wide tail = where_less(kFurthest, size, 0.0f, g * inverse * power);
  return x * where_less(x, 0.0f, tail, 1.0f - tail);
}

/// x / (1 + e^-2y), y = sqrt(2/pi) (x + 0.044715 x^3); within 3 ulp.
///
/// 2y = x (A + B x^2) is two floats: what its rounding loses counts where e^-2y is large. Numbers are split in halves,
/// whose products are exact; sums keep what they lose (Dekker).
NETSURGERY_INLINE Wide gelu_by_tanh(const Wide& x) {
  constexpr double kScale = 2.0 * 0.79788456080286535588, kCubic = kScale * 0.044715;
  constexpr float kA = static_cast<float>(kScale), kRestOfA = static_cast<float>(kScale - static_cast<double>(kA));
  constexpr float kB = 0.07135009765625f;  // of 12 bits
  constexpr float kRestOfB = static_cast<float>(kCubic - static_cast<double>(kB));
  constexpr float kLowest = -10.04f;  // from here on e^-2y is taken for infinite, and from 10 on for 0 beside 1
  const Wide z = within(x, kLowest, 10.0f);
  const Wide upper = upper_half(z), rest = z - upper;
  const Wide square = upper * upper, rest_of_square = rest * (z + upper);
  const Wide upper_square = upper_half(square);
  const Wide term = kB * upper_square;
  const Wide sum = term + kA;
  const Wide larger = where_less(kA, term, term, kA), smaller = where_less(kA, term, kA, term);
  const Wide rest_of_sum = (smaller - (sum - larger)) + kRestOfA + kB * (square - upper_square) + kRestOfB * square +
                           static_cast<float>(kCubic) * rest_of_square;
  const Wide upper_sum = upper_half(sum), rest_of_factor = (sum - upper_sum) + rest_of_sum;
  const Wide high = -upper * upper_sum;
  const Wide low = -(upper * rest_of_factor + rest * (sum + rest_of_sum));
  const Wide power = where_less(x, kLowest, __builtin_inff(), power_of_e(high, low));
  return x / (1.0f + power);
}

/// tanh x as x p(x^2) / q(x^2), which is off by 2e-8 where it isn't 1 yet; within 6 ulp.
NETSURGERY_INLINE Wide hyperbolic_tangent(const Wide& x) {
  const Wide a = within(x, -9.02f, 9.02f), square = a * a;
  Wide p = 1.33554547e-08f;
  p = p * square + 2.06097113e-05f;
  p = p * square + 0.00349562868f;
  p = p * square + 0.133810605f;
  p = p * square + 0.999999979f;
  Wide q = 7.77689985e-07f;
  q = q * square + 0.000328569952f;
  q = q * square + 0.0258771388f;
  q = q * square + 0.467143761f;
  q = q * square + 1.0f;
  return within(a * p / q, -1.0f, 1.0f);
}

/// x * min(max(x / 6 + 1/2, 0), 1) as x * min(max(x + 3, 0), 6) / 6, which doesn't cancel at -3; within 3 ulp.
NETSURGERY_INLINE Wide hard_swish(const Wide& x) { return x * (within(x + 3.0f, 0.0f, 6.0f) * 0.166666672f); }

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
