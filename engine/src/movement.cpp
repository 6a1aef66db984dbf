#include "movement.hpp"

#include <algorithm>
#include <array>

namespace netsurgery {
namespace {

/// Pieces: rows of tiles in all groups.
class Gather final : public Step {
 public:
  Gather(const Kernels& kernels, int plain, int blocked, const Layout& layout, float outside)
      : kernels_(kernels), plain_(plain), blocked_(blocked), layout_(layout), outside_(outside) {}

  Size pieces() const override { return layout_.groups() * layout_.rows(); }
  Size scratch() const override { return kVector * padded_columns(); }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    for (Size piece = begin; piece < end; ++piece)
      row(buffers, piece / layout_.rows(), piece % layout_.rows() - layout_.halo.above, scratch);
  }

 private:
  Size padded_columns() const { return (layout_.columns() + kVector - 1) / kVector * kVector; }

  /// What a lane sees in a row: some columns of the picture, and what lies outside on both sides.
  struct Seen {
    Size source = 0;             // of the first column that it sees, in the first channel
    Size before = 0, count = 0;  // columns
    bool whole = false;
  };

  void row(Buffers buffers, Size group, Size y, float* scratch) const {
    const Image& image = layout_.image;
    const Size columns = layout_.columns();
    std::array<Seen, kVector> seen;
    std::array<const float*, kVector> lanes;
    for (Size lane = 0; lane < kVector; ++lane) {
      Seen& one = seen[static_cast<std::size_t>(lane)];
      const Size n = group * layout_.tiling.images + layout_.lane_image(lane), row = layout_.lane_y(lane) + y;
      const Size first = layout_.lane_x(lane) - layout_.halo.left, begin = std::max<Size>(first, 0);
      const bool inside = n < image.count && row >= 0 && row < image.height;
      one.before = begin - first;
      one.count = inside ? std::max<Size>(0, std::min(first + columns, image.width) - begin) : 0;
      one.whole = one.count == columns;
      one.source = (n * image.channels * image.height + row) * image.width + begin;
      // The others go by a copy, which has what lies outside already.
      if (!one.whole) std::fill_n(scratch + lane * padded_columns(), columns, outside_);
      lanes[static_cast<std::size_t>(lane)] = scratch + lane * padded_columns();
    }
    for (Size c = 0; c < image.channels; ++c) {
      const float* channel = buffers[plain_] + c * image.pixels();
      for (std::size_t lane = 0; lane < kVector; ++lane) {
        const Seen& one = seen[lane];
        if (one.whole)
          lanes[lane] = channel + one.source;
        else if (one.count > 0)
          std::copy_n(channel + one.source, one.count,
                      scratch + static_cast<Size>(lane) * padded_columns() + one.before);
      }
      kernels_.interleave(lanes.data(), columns, buffers[blocked_] + layout_.at(group, y, c, -layout_.halo.left));
    }
  }

  const Kernels& kernels_;
  int plain_, blocked_;
  Layout layout_;
  float outside_;
};

/// Pieces: rows of tiles in all groups.
class Scatter final : public Step {
 public:
  Scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain)
      : kernels_(kernels), blocked_(blocked), plain_(plain), layout_(layout) {}

  Size pieces() const override { return layout_.groups() * layout_.tiling.height; }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const Image& image = layout_.image;
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / layout_.tiling.height, y = piece % layout_.tiling.height;
      std::array<std::ptrdiff_t, kVector> counts;
      std::array<Size, kVector> places;
      for (Size lane = 0; lane < kVector; ++lane) {
        const Size n = group * layout_.tiling.images + layout_.lane_image(lane), row = layout_.lane_y(lane) + y;
        const Size left = std::min(layout_.tiling.width, image.width - layout_.lane_x(lane));
        const bool inside = n < image.count && row < image.height && left > 0;
        counts[static_cast<std::size_t>(lane)] = inside ? left : 0;
        places[static_cast<std::size_t>(lane)] =
            (n * image.channels * image.height + row) * image.width + layout_.lane_x(lane);
      }
      for (Size c = 0; c < image.channels; ++c) {
        std::array<float*, kVector> lanes;
        for (std::size_t lane = 0; lane < kVector; ++lane)
          lanes[lane] = counts[lane] > 0 ? buffers[plain_] + places[lane] + c * image.pixels() : nullptr;
        kernels_.separate(buffers[blocked_] + layout_.at(group, y, c, 0), layout_.tiling.width, counts.data(),
                          lanes.data());
      }
    }
  }

 private:
  const Kernels& kernels_;
  int blocked_, plain_;
  Layout layout_;
};

Size floor_divided(Size a, Size b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/// The shuffles of one row of tiles; targets and sources count from the row's first channel in memory.
std::vector<Shuffle> shuffles_of_row(const Layout& layout, const Halo& needed, Size y, bool sees_outside) {
  const Tiling& tiling = layout.tiling;
  const Image& image = layout.image;
  std::vector<Shuffle> result;
  const Size tile_dy = floor_divided(y, tiling.height), source_y = y - tile_dy * tiling.height;
  for (Size x = -needed.left; x < tiling.width + needed.right; ++x) {
    const Size tile_dx = floor_divided(x, tiling.width), source_x = x - tile_dx * tiling.width;
    Shuffle shuffle{};
    shuffle.target = layout.at(0, y, 0, x) - layout.at(0, y, 0, 0);
    shuffle.source = layout.at(0, source_y, 0, source_x) - layout.at(0, y, 0, 0);
    bool stays = true;
    for (Size lane = 0; lane < kVector; ++lane) {
      const Size row = layout.lane_y(lane) + y, column = layout.lane_x(lane) + x;
      const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
      const Size from = lane + tile_dy * tiling.tiles_x + tile_dx;
      shuffle.lane[lane] = inside ? static_cast<std::int32_t>(from) : -1;
      stays = stays && inside && from == lane;
    }
    const bool in_tile = shuffle.target == shuffle.source;
    if (in_tile ? !stays && sees_outside : true) result.push_back(shuffle);
  }
  return result;
}

/// Pieces: some channels of a group each, because rows read what other rows change.
class HaloStep final : public Step {
 public:
  HaloStep(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed, float outside,
           bool sees_outside)
      : kernels_(kernels), blocked_(blocked), layout_(layout), outside_(outside) {
    for (Size y = -needed.above; y < layout.tiling.height + needed.below; ++y) {
      std::vector<Shuffle> shuffles = shuffles_of_row(layout, needed, y, sees_outside);
      if (!shuffles.empty()) rows_.push_back({y, std::move(shuffles)});
    }
  }

  Size pieces() const override { return layout_.groups() * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size channel = piece % blocks() * kChannels;
      const Size channels = std::min(kChannels, layout_.image.channels - channel);
      for (const Row& row : rows_)
        kernels_.shuffle(buffers[blocked_] + layout_.at(piece / blocks(), row.y, channel, 0), channels,
                         layout_.channel_floats(), row.shuffles.data(),
                         static_cast<std::ptrdiff_t>(row.shuffles.size()), outside_);
    }
  }

 private:
  static constexpr Size kChannels = 8;
  struct Row {
    Size y;
    std::vector<Shuffle> shuffles;
  };
  Size blocks() const { return (layout_.image.channels + kChannels - 1) / kChannels; }

  const Kernels& kernels_;
  int blocked_;
  Layout layout_;
  float outside_;
  std::vector<Row> rows_;
};

/// Rows of a channel, each transposed in blocks of 16 columns.
double moved(Size rows, Size columns) {
  return static_cast<double>(rows) * (70.0 + 90.0 * static_cast<double>((columns + kVector - 1) / kVector));
}

}  // namespace

std::unique_ptr<Step> make_gather(const Kernels& kernels, int plain, int blocked, const Layout& layout, float outside) {
  return std::make_unique<Gather>(kernels, plain, blocked, layout, outside);
}

std::unique_ptr<Step> make_scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain) {
  return std::make_unique<Scatter>(kernels, blocked, layout, plain);
}

std::unique_ptr<Step> make_halo(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed,
                                float outside, bool sees_outside) {
  return std::make_unique<HaloStep>(kernels, blocked, layout, needed, outside, sees_outside);
}

bool needs_halo(const Layout& layout, const Halo& needed, bool sees_outside) {
  for (Size y = -needed.above; y < layout.tiling.height + needed.below; ++y)
    if (!shuffles_of_row(layout, needed, y, sees_outside).empty()) return true;
  return false;
}

double gather_cycles(const Layout& layout) {
  return moved(layout.groups() * layout.rows() * layout.image.channels, layout.columns());
}

double scatter_cycles(const Layout& layout) {
  return moved(layout.groups() * layout.tiling.height * layout.image.channels, layout.tiling.width);
}

double halo_cycles(const Layout& layout, const Halo& needed) {
  const Size seen =
      (needed.above + layout.tiling.height + needed.below) * (needed.left + layout.tiling.width + needed.right);
  return 6.0 * static_cast<double>((seen - layout.tiling.vectors()) * layout.groups() * layout.image.channels);
}

}  // namespace netsurgery
