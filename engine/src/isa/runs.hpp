// Sums and largest values of neighbouring floats, in several lanes, always in the same order. Internal linkage, so that
// kernel units include it too.
#pragma once

#include <cstddef>

namespace netsurgery {

constexpr std::ptrdiff_t kRunLanes = 16;

/// Of the values mapped to doubles.
template <class Map>
static inline double sum_of(const float* x, std::ptrdiff_t count, Map map) {
  double lanes[kRunLanes] = {};
  std::ptrdiff_t i = 0;
  for (; i + kRunLanes <= count; i += kRunLanes)
    for (std::ptrdiff_t lane = 0; lane < kRunLanes; ++lane) lanes[lane] += map(x[i + lane]);
  double rest = 0;
  for (; i < count; ++i) rest += map(x[i]);
  for (std::ptrdiff_t width = kRunLanes / 2; width > 0; width /= 2)
    for (std::ptrdiff_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0] + rest;
}

static inline double sum_of(const float* x, std::ptrdiff_t count) {
  return sum_of(x, count, [](float value) { return static_cast<double>(value); });
}

/// The larger one; NaN if either is.
static inline float larger(float a, float b) { return ((a >= b) | (a != a)) ? a : b; }

/// NaN if any is. count >= 1.
static inline float largest_of(const float* x, std::ptrdiff_t count) {
  float result = x[0];
  std::ptrdiff_t i = 0;
  if (count >= kRunLanes) {
    float lanes[kRunLanes];
    for (std::ptrdiff_t lane = 0; lane < kRunLanes; ++lane) lanes[lane] = x[lane];
    for (i = kRunLanes; i + kRunLanes <= count; i += kRunLanes)
      for (std::ptrdiff_t lane = 0; lane < kRunLanes; ++lane) lanes[lane] = larger(lanes[lane], x[i + lane]);
    for (std::ptrdiff_t lane = 0; lane < kRunLanes; ++lane) result = larger(result, lanes[lane]);
  }
  for (; i < count; ++i) result = larger(result, x[i]);
  return result;
}

}  // namespace netsurgery
