// How a value (N, C, H, W), or (N, C, D, H, W), lies in memory for the fast kernels: in vectors of 16 floats, one pixel
// of 16 tiles each.
//
//     a vector   [image i0..][tile slice 0..][tile row 0..][tile column 0..]
//                images * tiles_z * tiles_y * tiles_x = 16 lanes
//     memory     [group of images][slice of a tile][row of a tile][channel][column of a tile][16 lanes]
//
// A volume has slices, as a film has pictures; what has none is one slice.
//
// With 16 or more images a lane is an image; with one it is a part of the picture, e.g. one of 4 x 4 tiles. Either way
// the next pixel is the next vector, so that every shift of a convolution is an aligned load, strided ones too: nothing
// is shuffled in an inner loop. What a window sees beyond a tile's border lies in the halo around it, copied from the
// neighbouring lanes (movement.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "graph/graph.hpp"

namespace netsurgery {

constexpr Size kVector = 16;            // floats
constexpr std::size_t kAlignment = 64;  // bytes, of every buffer

inline Size ceil_divided(Size a, Size b) { return (a + b - 1) / b; }
/// Of the sizes of a shape, from one axis on.
Size product(const Shape& shape, std::size_t from = 0);

/// An image as slices, rows and columns; what has fewer axes has ones.
struct Image {
  Size count = 1, channels = 1, depth = 1, height = 1, width = 1;
  static bool holds(const Shape& shape) { return shape.size() >= 2 && shape.size() <= 5; }
  static Image of(const Shape& shape);
  Size pixels() const { return depth * height * width; }
  bool has(Size z, Size y, Size x) const { return z >= 0 && z < depth && y >= 0 && y < height && x >= 0 && x < width; }
  /// Where a pixel lies in NumPy's order, from the channel's first.
  Size at(Size z, Size y, Size x) const { return (z * height + y) * width + x; }
};

/// Lanes of a vector, and the tile that each of them stands for.
struct Tiling {
  Size images = 16, tiles_z = 1, tiles_y = 1, tiles_x = 1;
  Size depth = 1, height = 1, width = 1;  // of a tile, in pixels
  bool operator==(const Tiling& other) const {
    return images == other.images && tiles_z == other.tiles_z && tiles_y == other.tiles_y && tiles_x == other.tiles_x &&
           depth == other.depth && height == other.height && width == other.width;
  }
  bool operator!=(const Tiling& other) const { return !(*this == other); }
  bool covers(const Image& image) const {
    return tiles_z * depth >= image.depth && tiles_y * height >= image.height && tiles_x * width >= image.width;
  }
  Size lanes() const { return images * tiles_z * tiles_y * tiles_x; }
  Size rows() const { return depth * height; }  // of all slices
  Size vectors() const { return rows() * width; }
};

/// Slices, rows and columns around a tile.
struct Halo {
  Size front = 0, back = 0, above = 0, below = 0, left = 0, right = 0;
  bool any() const { return front || back || above || below || left || right; }
  void grow(const Halo& other);
};

struct Layout {
  Image image;
  Tiling tiling;
  Halo halo;
  Size row_channels = 0;  // of the memory, where these channels lie among those of other values; 0: there are no others
  Size first_channel = 0;  // of these, in the memory

  Size groups() const { return (image.count + tiling.images - 1) / tiling.images; }
  Size slices() const { return halo.front + tiling.depth + halo.back; }
  Size rows() const { return halo.above + tiling.height + halo.below; }  // of a slice
  Size columns() const { return halo.left + tiling.width + halo.right; }
  Size channel_floats() const { return columns() * kVector; }  // from a channel to the next
  Size row_floats() const {                                    // from a row to the next
    return (row_channels > 0 ? row_channels : image.channels) * channel_floats();
  }
  Size slice_floats() const { return rows() * row_floats(); }  // from a slice to the next
  Size group_floats() const { return slices() * slice_floats(); }
  Size floats() const { return groups() * group_floats(); }  // of the memory
  /// Where the vector of a pixel lies; z, y and x count from the tile's corner and reach into the halo.
  Size at(Size group, Size z, Size y, Size channel, Size x) const {
    return group * group_floats() + (z + halo.front) * slice_floats() + (y + halo.above) * row_floats() +
           (first_channel + channel) * channel_floats() + (x + halo.left) * kVector;
  }
  /// The same by a row of the tile, counted through all slices.
  Size at_row(Size group, Size row, Size channel, Size x) const {
    return at(group, row / tiling.height, row % tiling.height, channel, x);
  }
  /// What a lane stands for: the image within its group, and the picture's pixel at the tile's corner.
  Size lane_image(Size lane) const { return lane / (tiling.tiles_z * tiling.tiles_y * tiling.tiles_x); }
  Size lane_z(Size lane) const { return lane / (tiling.tiles_y * tiling.tiles_x) % tiling.tiles_z * tiling.depth; }
  Size lane_y(Size lane) const { return lane / tiling.tiles_x % tiling.tiles_y * tiling.height; }
  Size lane_x(Size lane) const { return lane % tiling.tiles_x * tiling.width; }
  /// Where a pixel of an image of a group lies, if the tiling covers it: in which lane, and in which vector.
  Size lane_of(Size image, Size z, Size y, Size x) const {
    const Size tile_row = (image * tiling.tiles_z + z / tiling.depth) * tiling.tiles_y + y / tiling.height;
    return tile_row * tiling.tiles_x + x / tiling.width;
  }
  Size vector_of(Size z, Size y, Size x) const {
    return at(0, z % tiling.depth, y % tiling.height, 0, x % tiling.width);
  }
  /// visit(lane, z, y, x) for all lanes of a channel, halo and all, as they lie in memory: what they stand for of their
  /// image, and that may be outside.
  template <class Visit>
  void each_lane(Visit&& visit) const {
    for (Size z = -halo.front; z < slices() - halo.front; ++z)
      for (Size y = -halo.above; y < rows() - halo.above; ++y)
        for (Size x = -halo.left; x < columns() - halo.left; ++x)
          for (Size lane = 0; lane < tiling.lanes(); ++lane)
            visit(lane, lane_z(lane) + z, lane_y(lane) + y, lane_x(lane) + x);
  }
  /// True if a vector's lane is a pixel of the picture.
  bool is_pixel(Size lane, Size z, Size y, Size x) const {
    return image.has(lane_z(lane) + z, lane_y(lane) + y, lane_x(lane) + x);
  }
};

}  // namespace netsurgery
