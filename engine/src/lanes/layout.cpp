#include "lanes/layout.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace netsurgery {

Size product(const Shape& shape, std::size_t from) {
  return std::accumulate(shape.begin() + static_cast<std::ptrdiff_t>(std::min(from, shape.size())), shape.end(),
                         Size{1}, std::multiplies<Size>());
}

Image Image::of(const Shape& shape) {
  Image image;
  image.count = shape[0];
  image.channels = shape[1];
  if (shape.size() >= 3) image.width = shape.back();
  if (shape.size() >= 4) image.height = shape[shape.size() - 2];
  if (shape.size() == 5) image.depth = shape[2];
  return image;
}

void Halo::grow(const Halo& other) {
  front = std::max(front, other.front);
  back = std::max(back, other.back);
  above = std::max(above, other.above);
  below = std::max(below, other.below);
  left = std::max(left, other.left);
  right = std::max(right, other.right);
}

}  // namespace netsurgery
