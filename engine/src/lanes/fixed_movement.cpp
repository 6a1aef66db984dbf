#include "lanes/fixed_movement.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "lanes/fixed_point.hpp"
#include "lanes/vector_picks.hpp"

namespace netsurgery {
namespace {

/// A channel of the images that share a vector, row by row, with room around the picture: what all movements go
/// through, for vectors become rows, and rows vectors, eight by eight.
struct Canvas {
  Size images = 1, front = 0, above = 0, left = 0;
  Size slices = 0, rows = 0, columns = 0;

  static constexpr Size kSpare = 8;  // columns that transpositions may reach beyond

  /// Has room for tiles and what lies around them.
  void hold(const Layout& layout, const Halo& halo) {
    const Tiling& tiling = layout.tiling;
    images = std::max(images, tiling.images);
    front = std::max(front, halo.front);
    above = std::max(above, halo.above);
    left = std::max(left, halo.left);
    slices = std::max(slices, front + tiling.tiles_z * tiling.depth + halo.back);
    rows = std::max(rows, above + tiling.tiles_y * tiling.height + halo.below);
    columns = std::max(columns, left + tiling.tiles_x * tiling.width + halo.right + kSpare);
  }
  void hold(const Image& image) {
    slices = std::max(slices, front + image.depth);
    rows = std::max(rows, above + image.height);
    columns = std::max(columns, left + image.width + kSpare);
  }

  Size at(Size image, Size z, Size y, Size x) const {
    return ((image * slices + front + z) * rows + above + y) * columns + left + x;
  }
  Size shorts() const { return images * slices * rows * columns; }
};

/// Where each lane's row of a tile lies: lanes of no pixel lie behind the canvas, where that is asked for.
std::array<std::int32_t, kShorts> places_of_row(const Canvas& canvas, const Layout& layout, Size z, Size y, Size x,
                                                bool pixels_alone) {
  std::array<std::int32_t, kShorts> places;
  for (Size lane = 0; lane < kShorts; ++lane) {
    const Size place = pixels_alone && !layout.is_pixel(lane, z, y, x)
                           ? canvas.shorts()
                           : canvas.at(layout.lane_image(lane), layout.lane_z(lane) + z, layout.lane_y(lane) + y,
                                       layout.lane_x(lane) + x);
    places[static_cast<std::size_t>(lane)] = static_cast<std::int32_t>(place);
  }
  return places;
}

/// From floats or vectors to vectors or floats. Pieces: some channels of groups of images.
class FixedMovement final : public Step {
 public:
  struct Side {
    int buffer;
    const Layout* vectors = nullptr;  // nullptr: floats in NumPy's order
  };

  FixedMovement(const Kernels& kernels, const Side& from, const Side& to, const FixedRounding& rounding,
                std::int16_t outside)
      : kernels_(kernels),
        from_(from.buffer),
        to_(to.buffer),
        image_((from.vectors ? from.vectors : to.vectors)->image),
        rounding_(rounding),
        outside_(outside) {
    if (to.vectors) canvas_.hold(*to.vectors, to.vectors->halo);
    if (from.vectors) canvas_.hold(*from.vectors, {});
    canvas_.hold(image_);
    images_ = canvas_.images;
    if (from.vectors) {
      source_ = *from.vectors;
      for (Size z = 0; z < source_->tiling.depth; ++z)
        for (Size y = 0; y < source_->tiling.height; ++y)
          source_rows_.push_back({source_->at(0, z, y, 0, 0), places_of_row(canvas_, *source_, z, y, 0, true)});
      spill_ = source_->tiling.width + Canvas::kSpare;
    }
    if (to.vectors) {
      target_ = *to.vectors;
      const Halo& halo = target_->halo;
      for (Size z = -halo.front; z < target_->slices() - halo.front; ++z)
        for (Size y = -halo.above; y < target_->rows() - halo.above; ++y)
          target_rows_.push_back(
              {target_->at(0, z, y, 0, -halo.left), places_of_row(canvas_, *target_, z, y, -halo.left, false)});
    }
  }

  Size pieces() const override { return ceil_divided(image_.count, images_) * blocks(); }
  Size scratch() const override { return ceil_divided(canvas_.shorts() + spill_, kShortsPerFloat); }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    std::int16_t* const canvas = shorts(scratch);
    std::fill_n(canvas, canvas_.shorts(), outside_);
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / blocks(), first = piece % blocks() * channels_at_once();
      for (Size channel = first; channel < std::min(first + channels_at_once(), image_.channels); ++channel) {
        if (source_)
          from_vectors(buffers[from_], group, channel, canvas);
        else
          for_rows(group, channel, [&](Size place, Size at) {
            kernels_.fixed_from_floats(buffers[from_] + place, image_.width, rounding_.factor, rounding_.low,
                                       rounding_.high, canvas + at);
          });
        if (target_)
          for (const Row& row : target_rows_)
            kernels_.fixed_interleave({vectors_of(*target_, buffers[to_], group, channel, row), canvas,
                                       row.places.data(), target_->columns()});
        else
          for_rows(group, channel, [&](Size place, Size at) {
            kernels_.fixed_to_floats(canvas + at, image_.width, rounding_.factor, buffers[to_] + place);
          });
      }
    }
  }

 private:
  /// A row of tiles: where its vectors begin in the first channel of a group, and where its lanes lie.
  struct Row {
    Size vectors;
    std::array<std::int32_t, kShorts> places;
  };

  Size channels_at_once() const { return std::clamp<Size>(image_.channels / 8, 1, 16); }
  Size blocks() const { return ceil_divided(image_.channels, channels_at_once()); }

  static std::int16_t* vectors_of(const Layout& layout, float* memory, Size group, Size channel, const Row& row) {
    return shorts(memory + group * layout.group_floats() + channel * layout.channel_floats() + row.vectors);
  }

  /// visit(place in NumPy's order, place on the canvas) of each row of a channel of a group's images.
  template <class Visit>
  void for_rows(Size group, Size channel, Visit&& visit) const {
    const Size count = std::min(images_, image_.count - group * images_);
    for (Size image = 0; image < count; ++image) {
      const Size place = ((group * images_ + image) * image_.channels + channel) * image_.pixels();
      for (Size z = 0; z < image_.depth; ++z)
        for (Size y = 0; y < image_.height; ++y) visit(place + image_.at(z, y, 0), canvas_.at(image, z, y, 0));
    }
  }

  void from_vectors(float* memory, Size group, Size channel, std::int16_t* canvas) const {
    for (const Row& row : source_rows_)
      kernels_.fixed_separate(
          {vectors_of(*source_, memory, group, channel, row), canvas, row.places.data(), source_->tiling.width});
    if (!target_) return;
    // What tiles have beyond the picture's right border is no pixel of it; rows below it were left alone.
    const Size beyond = canvas_.columns - canvas_.left - image_.width;
    for (Size image = 0; image < images_; ++image)
      for (Size z = 0; z < image_.depth; ++z)
        for (Size y = 0; y < image_.height; ++y)
          std::fill_n(canvas + canvas_.at(image, z, y, image_.width), beyond, outside_);
  }

  const Kernels& kernels_;
  int from_, to_;
  Image image_;
  FixedRounding rounding_;
  std::int16_t outside_;
  Canvas canvas_;
  Size images_ = 1, spill_ = 0;
  std::optional<Layout> source_, target_;
  std::vector<Row> source_rows_, target_rows_;
};

/// Channels of one pixel as the columns of one channel, which lie as they do, in both orders.
Layout flattened(const Layout& layout) {
  if (layout.image.pixels() > 1 || layout.tiling.vectors() > 1 || layout.halo.any() || layout.row_channels > 0)
    return layout;
  Layout flat = layout;
  flat.image.width = flat.tiling.width = layout.image.channels;
  flat.image.channels = 1;
  return flat;
}

/// Vectors of a row of tiles that become rows, or are made of them.
double turned(Size rows, Size columns) {
  constexpr double kPerRow = 20, kPerBlock = 110;
  return static_cast<double>(rows) * (kPerRow + kPerBlock * static_cast<double>(ceil_divided(columns, 8)));
}

/// Floats that become whole numbers, or the other way, row by row.
double converted(const Image& image) {
  constexpr double kPerRow = 16, kPerNumber = 0.3;
  return static_cast<double>(image.count * image.channels * image.depth * image.height) *
         (kPerRow + kPerNumber * static_cast<double>(image.width));
}

double turned_from(const Layout& layout) {
  return turned(layout.groups() * layout.image.channels * layout.tiling.rows(), layout.tiling.width);
}

double turned_to(const Layout& layout) {
  return turned(layout.groups() * layout.image.channels * layout.slices() * layout.rows(), layout.columns());
}

}  // namespace

std::unique_ptr<Step> make_fixed_gather(const Kernels& kernels, int plain, int blocked, const Layout& layout,
                                        const FixedRounding& rounding, std::int16_t outside) {
  const Layout flat = flattened(layout);
  return std::make_unique<FixedMovement>(kernels, FixedMovement::Side{plain}, FixedMovement::Side{blocked, &flat},
                                         rounding, outside);
}

std::unique_ptr<Step> make_fixed_move(const Kernels& kernels, int from, const Layout& source, int to,
                                      const Layout& target, std::int16_t outside) {
  if (auto picked = make_vector_picks(kernels, from, source, {}, to, target, outside)) return picked;
  return std::make_unique<FixedMovement>(kernels, FixedMovement::Side{from, &source}, FixedMovement::Side{to, &target},
                                         FixedRounding{}, outside);
}

std::unique_ptr<Step> make_fixed_scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain,
                                         float factor) {
  const Layout flat = flattened(layout);
  return std::make_unique<FixedMovement>(kernels, FixedMovement::Side{blocked, &flat}, FixedMovement::Side{plain},
                                         FixedRounding{factor, 0, 0}, std::int16_t{0});
}

double fixed_gather_cycles(const Layout& layout) {
  const Layout flat = flattened(layout);
  return converted(flat.image) + turned_to(flat);
}

double fixed_scatter_cycles(const Layout& layout) {
  const Layout flat = flattened(layout);
  return turned_from(flat) + converted(flat.image);
}

double fixed_move_cycles(const Layout& target) { return 2 * turned_to(target); }

}  // namespace netsurgery
