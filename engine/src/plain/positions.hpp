// Where the entries of a resized axis lie among those that it had, and how much its neighbours count there.
#pragma once

#include <algorithm>
#include <cmath>

#include "graph/graph.hpp"

namespace netsurgery::plain {

/// ONNX's equations for coordinate_transformation_mode. scale: output / input, 0: what the sizes say; then an exact
/// quotient of whole numbers is rounded once, which never crosses a whole number.
inline double resized_position(Size place, Size in, Size out, double scale, ResizeCoordinates coordinates) {
  const auto i = static_cast<double>(place), from = static_cast<double>(in), to = static_cast<double>(out);
  const auto unscaled = [&](double at) { return scale == 0.0 ? at * from / to : at / scale; };
  switch (coordinates) {
    case ResizeCoordinates::kAlignCorners:
      return i * (from - 1.0) / std::max(to - 1.0, 1.0);
    case ResizeCoordinates::kAsymmetric:
      return unscaled(i);
    case ResizeCoordinates::kPytorchHalfPixel:
      return out == 1 ? i : unscaled(i + 0.5) - 0.5;
    case ResizeCoordinates::kHalfPixelSymmetric:  // from / 2 * (1 - to / (scale * from)) on top, as one quotient
      return scale == 0.0 ? unscaled(i + 0.5) - 0.5 : (2.0 * i + 1.0 - to + (from - 1.0) * scale) / (2.0 * scale);
    default:
      return unscaled(i + 0.5) - 0.5;
  }
}

inline double rounded(double position, ResizeRounding rounding) {
  switch (rounding) {
    case ResizeRounding::kFloor:
      return std::floor(position);
    case ResizeRounding::kCeil:
      return std::ceil(position);
    case ResizeRounding::kRoundPreferFloor:
      return std::ceil(position - 0.5);
    default:
      return std::floor(position + 0.5);
  }
}

/// The entry that a Resize takes for one of a spatial axis.
inline Size nearest_place(const Attributes& attributes, std::size_t spatial_axis, Size place, Size in, Size out) {
  const std::vector<float>& scales = attributes.numbers(AttributeName::kScales);
  const double scale = scales.empty() ? 0.0 : static_cast<double>(scales[spatial_axis]);
  const double exact =
      resized_position(place, in, out, scale, attributes.choice<ResizeCoordinates>(AttributeName::kCoordinates));
  const double found = rounded(exact, attributes.choice<ResizeRounding>(AttributeName::kRounding));
  return static_cast<Size>(std::clamp(found, 0.0, static_cast<double>(in - 1)));
}

/// How much a neighbour counts that lies this far away: linear, or by Keys, "Cubic convolution interpolation", 1981,
/// equation 15, with the coefficient a.
inline double neighbour_weight(double distance, bool cubic, double a) {
  const double d = std::fabs(distance);
  if (!cubic) return d < 1.0 ? 1.0 - d : 0.0;
  if (d <= 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
  return d < 2.0 ? ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a : 0.0;
}

}  // namespace netsurgery::plain
