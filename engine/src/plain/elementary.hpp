// Elementary functions of one float: in double, so that the result is rounded once, or exact.
#pragma once

#include <cmath>

namespace netsurgery::plain {

/// A function of doubles at a float.
template <double (*function)(double)>
inline float in_double(float x) {
  return static_cast<float>(function(static_cast<double>(x)));
}

inline double exponential_of(double x) { return std::exp(x); }
inline double logarithm_of(double x) { return std::log(x); }
inline double error_function_of(double x) { return std::erf(x); }
inline double sine_of(double x) { return std::sin(x); }
inline double cosine_of(double x) { return std::cos(x); }
inline double tangent_of(double x) { return std::tan(x); }
inline double inverse_sine_of(double x) { return std::asin(x); }
inline double inverse_cosine_of(double x) { return std::acos(x); }
inline double inverse_tangent_of(double x) { return std::atan(x); }
inline double hyperbolic_sine_of(double x) { return std::sinh(x); }
inline double hyperbolic_cosine_of(double x) { return std::cosh(x); }
inline double inverse_hyperbolic_sine_of(double x) { return std::asinh(x); }
inline double inverse_hyperbolic_cosine_of(double x) { return std::acosh(x); }
inline double inverse_hyperbolic_tangent_of(double x) { return std::atanh(x); }
inline double exponential_less_one_of(double x) { return std::expm1(x); }
inline double logarithm_of_one_more(double x) { return std::log1p(x); }

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), of which nothing overflows.
inline double softplus_of(double x) { return (x > 0.0 ? x : 0.0) + std::log1p(std::exp(-std::fabs(x))); }

/// With e = e^-|x|, tanh(log(1 + e^x)) is (e^2 + 2e) / (e^2 + 2e + 2) below 0, (1 + 2e) / (1 + 2e + 2e^2) above.
inline double mish_of(double x) {
  if (x < -1000.0) return -0.0;  // the limit, which is no number as a product
  const double e = std::exp(-std::fabs(x));
  return x < 0.0 ? x * (e * (e + 2.0) / (e * (e + 2.0) + 2.0)) : x * ((1.0 + 2.0 * e) / (1.0 + 2.0 * e * (1.0 + e)));
}

inline float square_root(float x) { return std::sqrt(x); }
inline float floor_of(float x) { return std::floor(x); }
inline float ceiling_of(float x) { return std::ceil(x); }
inline float nearest_even(float x) { return std::nearbyint(x); }
inline float truncated(float x) { return std::trunc(x); }

inline float sign_of(float x) {
  const float positive = x > 0.0f ? 1.0f : 0.0f, negative = x < 0.0f ? 1.0f : 0.0f;
  return x != x ? x : positive - negative;
}

inline float softsign(float x) {
  const float size = std::fabs(x);
  const double quotient = static_cast<double>(x) / (1.0 + static_cast<double>(size));
  return size > 3.4028234e38f ? std::copysign(1.0f, x) : static_cast<float>(quotient);
}

}  // namespace netsurgery::plain
