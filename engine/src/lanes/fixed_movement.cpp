#include "lanes/fixed_movement.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "lanes/fixed_point.hpp"

namespace netsurgery {
namespace {

constexpr std::size_t kLanes = kShorts;
constexpr double kCyclesPerLane = 1.5;  // that is fetched by itself
constexpr Size kFewestTurned = 8;       // columns, for squares of floats that are transposed

std::int16_t* shorts(float* memory) { return reinterpret_cast<std::int16_t*>(memory); }

Size padded(Size columns) { return ceil_divided(columns, kVector) * kVector; }

/// Columns of a picture's row that one lane of a row of tiles has: where they lie, in floats from the first channel,
/// how many columns before them lie outside, and how many there are.
struct LaneColumns {
  Size source = 0, before = 0, count = 0;
};

/// Of the columns from `left` before the tile's corner on.
LaneColumns columns_of(const Layout& layout, Size lane, Size group, Size z, Size y, Size left, Size columns) {
  const Image& image = layout.image;
  const Size n = group * layout.tiling.images + layout.lane_image(lane);
  const Size slice = layout.lane_z(lane) + z, row = layout.lane_y(lane) + y, first = layout.lane_x(lane) - left;
  const Size begin = std::max<Size>(first, 0);
  LaneColumns found;
  if (n >= image.count || !image.has(slice, row, 0)) return found;
  found.before = begin - first;
  found.count = std::max<Size>(0, std::min(first + columns, image.width) - begin);
  found.source = n * image.channels * image.pixels() + image.at(slice, row, begin);
  return found;
}

/// Pieces: rows of tiles in all groups, halo and all.
class FixedGather final : public Step {
 public:
  FixedGather(const Kernels& kernels, int plain, int blocked, const Layout& layout, const FixedRounding& rounding,
              std::int16_t outside)
      : kernels_(kernels),
        plain_(plain),
        blocked_(blocked),
        layout_(layout),
        rounding_(rounding),
        outside_(static_cast<float>(outside) / rounding.factor),
        columns_(layout.columns()) {}

  Size pieces() const override { return layout_.groups() * rows(); }
  Size scratch() const override { return 2 * kShorts * padded(columns_); }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Image& image = layout_.image;
    float* const turned = scratch + kShorts * padded(columns_);
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / rows(), at = piece % rows();
      const Size z = at / layout_.rows() - layout_.halo.front, y = at % layout_.rows() - layout_.halo.above;
      std::array<LaneColumns, kLanes> seen;
      std::array<const float*, kLanes> lanes;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        seen[lane] = columns_of(layout_, static_cast<Size>(lane), group, z, y, layout_.halo.left, columns_);
        float* const copy = scratch + static_cast<Size>(lane) * padded(columns_);
        if (seen[lane].count < columns_) std::fill_n(copy, columns_, outside_);
        lanes[lane] = copy;
      }
      for (Size c = 0; c < image.channels; ++c) {
        const float* channel = buffers[plain_] + c * image.pixels();
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
          const LaneColumns& one = seen[lane];
          if (one.count == columns_)
            lanes[lane] = channel + one.source;
          else if (one.count > 0)
            std::copy_n(channel + one.source, one.count,
                        scratch + static_cast<Size>(lane) * padded(columns_) + one.before);
        }
        float* const others = turned + kVector * columns_;
        kernels_.interleave(lanes.data(), columns_, turned);
        kernels_.interleave(lanes.data() + kVector, columns_, others);
        kernels_.fixed_from_floats(turned, others, columns_, rounding_.factor, rounding_.low, rounding_.high,
                                   shorts(buffers[blocked_] + layout_.at(group, z, y, c, -layout_.halo.left)));
      }
    }
  }

 private:
  Size rows() const { return layout_.slices() * layout_.rows(); }

  const Kernels& kernels_;
  int plain_, blocked_;
  Layout layout_;
  FixedRounding rounding_;
  float outside_;
  Size columns_;
};

/// Pieces: rows of tiles in all groups.
class FixedScatter final : public Step {
 public:
  FixedScatter(const Kernels& kernels, int blocked, const Layout& layout, int plain, float factor)
      : kernels_(kernels), blocked_(blocked), plain_(plain), layout_(layout), factor_(factor) {}

  Size pieces() const override { return layout_.groups() * layout_.tiling.rows(); }
  Size scratch() const override { return kShorts * layout_.tiling.width; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Image& image = layout_.image;
    const Size width = layout_.tiling.width, rows = layout_.tiling.rows();
    float* const others = scratch + kVector * width;
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / rows, at = piece % rows;
      const Size z = at / layout_.tiling.height, y = at % layout_.tiling.height;
      std::array<std::ptrdiff_t, kLanes> counts;
      std::array<Size, kLanes> places;
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const LaneColumns one = columns_of(layout_, static_cast<Size>(lane), group, z, y, 0, width);
        counts[lane] = one.count;
        places[lane] = one.source;
      }
      for (Size c = 0; c < image.channels; ++c) {
        std::array<float*, kLanes> lanes;
        for (std::size_t lane = 0; lane < kLanes; ++lane)
          lanes[lane] = counts[lane] > 0 ? buffers[plain_] + places[lane] + c * image.pixels() : nullptr;
        const std::int16_t* const source = shorts(buffers[blocked_] + layout_.at(group, z, y, c, 0));
        if (width < kFewestTurned) {
          for (std::size_t lane = 0; lane < kLanes; ++lane)
            for (Size x = 0; x < counts[lane]; ++x)
              lanes[lane][x] = static_cast<float>(source[static_cast<std::size_t>(x) * kLanes + lane]) * factor_;
          continue;
        }
        kernels_.fixed_to_floats(source, width, factor_, scratch, others);
        kernels_.separate(scratch, width, counts.data(), lanes.data());
        kernels_.separate(others, width, counts.data() + kVector, lanes.data() + kVector);
      }
    }
  }

 private:
  const Kernels& kernels_;
  int blocked_, plain_;
  Layout layout_;
  float factor_;
};

/// Whole numbers from other vectors, wherever they lie. Pieces: some channels of groups of images.
class FixedMove final : public Step {
 public:
  FixedMove(const Kernels& kernels, int from, const Layout& source, int to, const Layout& target, std::int16_t outside)
      : kernels_(kernels), from_(from), to_(to), source_(source), target_(target), outside_(outside) {
    target.each_lane([&](Size lane, Size slice, Size row, Size column) {
      const bool inside = target.image.has(slice, row, column);
      const Size place = inside ? kShortsPerFloat * source.vector_of(slice, row, column) +
                                      source.lane_of(target.lane_image(lane), slice, row, column)
                                : -1;
      places_.push_back(static_cast<std::int32_t>(place));
    });
  }

  Size pieces() const override { return target_.groups() * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / blocks(), channel = piece % blocks() * kChannels;
      FixedPicks picks{};
      picks.source = shorts(buffers[from_] + group * source_.group_floats() + channel * source_.channel_floats());
      picks.source_channel = kShortsPerFloat * source_.channel_floats();
      picks.target_channel = kShortsPerFloat * target_.channel_floats();
      picks.channels = std::min(kChannels, target_.image.channels - channel);
      picks.count = target_.columns() * kShorts;
      picks.outside = outside_;
      picks.offsets = places_.data();
      for (Size z = -target_.halo.front; z < target_.slices() - target_.halo.front; ++z)
        for (Size y = -target_.halo.above; y < target_.rows() - target_.halo.above; ++y) {
          picks.target = shorts(buffers[to_] + target_.at(group, z, y, channel, -target_.halo.left));
          kernels_.fixed_pick(picks);
          picks.offsets += picks.count;
        }
    }
  }

 private:
  static constexpr Size kChannels = 16;
  Size blocks() const { return ceil_divided(target_.image.channels, kChannels); }

  const Kernels& kernels_;
  int from_, to_;
  Layout source_, target_;
  std::int16_t outside_;
  std::vector<std::int32_t> places_;
};

/// Rows of some columns, of floats: in blocks of 16 columns for 16 lanes, and from or to whole numbers.
double moved(Size rows, Size columns) {
  constexpr double kPerRow = 160, kPerBlock = 200, kPerColumn = 8;
  return static_cast<double>(rows) * (kPerRow + kPerBlock * static_cast<double>(ceil_divided(columns, kVector)) +
                                      kPerColumn * static_cast<double>(columns));
}

}  // namespace

std::unique_ptr<Step> make_fixed_gather(const Kernels& kernels, int plain, int blocked, const Layout& layout,
                                        const FixedRounding& rounding, std::int16_t outside) {
  return std::make_unique<FixedGather>(kernels, plain, blocked, layout, rounding, outside);
}

std::unique_ptr<Step> make_fixed_move(const Kernels& kernels, int from, const Layout& source, int to,
                                      const Layout& target, std::int16_t outside) {
  return std::make_unique<FixedMove>(kernels, from, source, to, target, outside);
}

std::unique_ptr<Step> make_fixed_scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain,
                                         float factor) {
  return std::make_unique<FixedScatter>(kernels, blocked, layout, plain, factor);
}

double fixed_gather_cycles(const Layout& layout) {
  return moved(layout.groups() * layout.slices() * layout.rows() * layout.image.channels, layout.columns());
}

double fixed_scatter_cycles(const Layout& layout) {
  return moved(layout.groups() * layout.tiling.rows() * layout.image.channels, layout.tiling.width);
}

double fixed_move_cycles(const Layout& target) {
  return kCyclesPerLane * kShorts *
         static_cast<double>(target.groups() * target.image.channels * target.slices() * target.rows() *
                             target.columns());
}

}  // namespace netsurgery
