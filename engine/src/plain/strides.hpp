// Walking an array in another order than its own.
#pragma once

#include <cstddef>
#include <vector>

#include "graph/graph.hpp"

namespace netsurgery::plain {

/// How far apart neighbours along each axis of a contiguous array are.
inline std::vector<Size> contiguous_strides(const Shape& shape) {
  std::vector<Size> strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

/// The strides of an array that is broadcast to a shape: 0 where one entry stands for all.
inline std::vector<Size> broadcast_strides(const Shape& shape, const Shape& to) {
  const std::vector<Size> own = contiguous_strides(shape);
  const std::size_t missing = to.size() - shape.size();
  std::vector<Size> strides(to.size(), 0);
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] != 1) strides[missing + axis] = own[axis];
  return strides;
}

/// Joins neighbouring axes that can be walked as one in every array, and drops those of size 1.
inline void join_axes(Shape& sizes, const std::vector<std::vector<Size>*>& arrays) {
  std::size_t kept = 0;
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    if (sizes[axis] == 1) continue;
    bool joins = kept > 0;
    for (const auto* strides : arrays) joins = joins && (*strides)[kept - 1] == (*strides)[axis] * sizes[axis];
    if (joins) {
      sizes[kept - 1] *= sizes[axis];
      for (auto* strides : arrays) (*strides)[kept - 1] = (*strides)[axis];
    } else {
      sizes[kept] = sizes[axis];
      for (auto* strides : arrays) (*strides)[kept] = (*strides)[axis];
      ++kept;
    }
  }
  sizes.resize(kept);
  for (auto* strides : arrays) strides->resize(kept);
}

/// The place of entry number `index` (the last axis is the fastest) of axes with these sizes and strides.
inline Size place_of(Size index, const Shape& sizes, const std::vector<Size>& strides) {
  Size place = 0;
  for (std::size_t axis = sizes.size(); axis-- > 1;) {
    place += index % sizes[axis] * strides[axis];
    index /= sizes[axis];
  }
  return sizes.empty() ? 0 : place + index * strides[0];
}

}  // namespace netsurgery::plain
