#include "lanes/movement.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

/// Pieces: rows of tiles in all groups.
class Gather final : public Step {
 public:
  Gather(const Kernels& kernels, int plain, int blocked, const Layout& layout, float outside)
      : kernels_(kernels), plain_(plain), blocked_(blocked), layout_(layout), outside_(outside) {
    for (Size lane = 0; lane < kVector; ++lane)
      places_[static_cast<std::size_t>(lane)] = {layout.lane_image(lane), layout.lane_z(lane), layout.lane_y(lane),
                                                 layout.lane_x(lane)};
  }

  Size pieces() const override { return layout_.groups() * rows(); }
  Size scratch() const override { return kVector * padded_columns(); }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size at = piece % rows();
      row(buffers, piece / rows(), at / layout_.rows() - layout_.halo.front, at % layout_.rows() - layout_.halo.above,
          scratch);
    }
  }

 private:
  Size rows() const { return layout_.slices() * layout_.rows(); }
  Size padded_columns() const { return (layout_.columns() + kVector - 1) / kVector * kVector; }

  /// What a lane stands for, kept because it takes divisions: too many for rows of few channels.
  struct LanePlace {
    Size image, z, y, x;
  };

  /// What a lane sees in a row: some columns of the picture, and what lies outside on both sides.
  struct Seen {
    Size source = 0;             // of the first column that it sees, in the first channel
    Size before = 0, count = 0;  // columns
    bool whole = false;
  };

  void row(Buffers buffers, Size group, Size z, Size y, float* scratch) const {
    const Image& image = layout_.image;
    const Size columns = layout_.columns();
    std::array<Seen, kVector> seen;
    std::array<const float*, kVector> lanes;
    for (Size lane = 0; lane < kVector; ++lane) {
      Seen& one = seen[static_cast<std::size_t>(lane)];
      const LanePlace& place = places_[static_cast<std::size_t>(lane)];
      const Size n = group * layout_.tiling.images + place.image;
      const Size slice = place.z + z, row = place.y + y;
      const Size first = place.x - layout_.halo.left, begin = std::max<Size>(first, 0);
      const bool inside = n < image.count && image.has(slice, row, 0);
      one.before = begin - first;
      one.count = inside ? std::max<Size>(0, std::min(first + columns, image.width) - begin) : 0;
      one.whole = one.count == columns;
      one.source = n * image.channels * image.pixels() + image.at(slice, row, begin);
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
      kernels_.interleave(lanes.data(), columns, buffers[blocked_] + layout_.at(group, z, y, c, -layout_.halo.left));
    }
  }

  const Kernels& kernels_;
  int plain_, blocked_;
  Layout layout_;
  float outside_;
  std::array<LanePlace, kVector> places_{};
};

/// Pieces: rows of tiles in all groups.
class Scatter final : public Step {
 public:
  Scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain)
      : kernels_(kernels), blocked_(blocked), plain_(plain), layout_(layout) {}

  Size pieces() const override { return layout_.groups() * layout_.tiling.rows(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const Image& image = layout_.image;
    for (Size piece = begin; piece < end; ++piece) {
      const Size rows = layout_.tiling.rows(), group = piece / rows, at = piece % rows;
      const Size z = at / layout_.tiling.height, y = at % layout_.tiling.height;
      std::array<std::ptrdiff_t, kVector> counts;
      std::array<Size, kVector> places;
      for (Size lane = 0; lane < kVector; ++lane) {
        const Size n = group * layout_.tiling.images + layout_.lane_image(lane);
        const Size slice = layout_.lane_z(lane) + z, row = layout_.lane_y(lane) + y;
        const Size left = std::min(layout_.tiling.width, image.width - layout_.lane_x(lane));
        const bool inside = n < image.count && image.has(slice, row, 0) && left > 0;
        counts[static_cast<std::size_t>(lane)] = inside ? left : 0;
        places[static_cast<std::size_t>(lane)] =
            n * image.channels * image.pixels() + image.at(slice, row, layout_.lane_x(lane));
      }
      for (Size c = 0; c < image.channels; ++c) {
        std::array<float*, kVector> lanes;
        for (std::size_t lane = 0; lane < kVector; ++lane)
          lanes[lane] = counts[lane] > 0 ? buffers[plain_] + places[lane] + c * image.pixels() : nullptr;
        kernels_.separate(buffers[blocked_] + layout_.at(group, z, y, c, 0), layout_.tiling.width, counts.data(),
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

/// What the halo's kernels move: floats, or whole numbers of 16 bits of which two have room in one.
struct Floats {
  using Entry = float;
  using Moved = Shuffle;
  static constexpr Size kLanes = kVector, kInFloat = 1, kChannels = 8;
  static constexpr auto kKernel = &Kernels::shuffle;
};
struct WholeNumbers {
  using Entry = std::int16_t;
  using Moved = FixedShuffle;
  static constexpr Size kLanes = kShorts, kInFloat = 2, kChannels = 16;
  static constexpr auto kKernel = &Kernels::fixed_shuffle;
};

/// Finds out whether each four lanes come from four neighbours, and whether each lane stays.
void tell_lanes(Shuffle& shuffle) {
  shuffle.in_fours = shuffle.stays = true;
  for (int four = 0; four < 4; ++four) {
    std::int32_t first = -1;
    for (int lane = 4 * four; lane < 4 * four + 4; ++lane) {
      if (shuffle.lane[lane] < 0) continue;
      const std::int32_t source = shuffle.lane[lane] / 4 * 4;
      shuffle.in_fours = shuffle.in_fours && (first < 0 || first == source);
      shuffle.stays = shuffle.stays && shuffle.lane[lane] == lane;
      first = source;
    }
    shuffle.four[four] = std::max(first, 0);
  }
}

void tell_lanes(FixedShuffle& shuffle) {
  for (Size lane = 0; lane < kShorts; ++lane)
    if (const auto from = shuffle.lane[lane]; from >= 0)
      shuffle.quarters[lane / 8] = static_cast<std::uint8_t>(shuffle.quarters[lane / 8] | 1 << from / 8);
}

/// Where the vector of a tile's pixel comes from, which may lie around the tile: from this pixel of tiles, shuffled.
template <class Kind>
struct Origin {
  Size z, y, x;
  typename Kind::Moved shuffle{};  // without source and target
  bool is_own = false;             // the vector is the tile's own, as it is

  Origin(const Layout& layout, Size seen_z, Size seen_y, Size seen_x) {
    const Tiling& tiling = layout.tiling;
    const Size dz = floor_divided(seen_z, tiling.depth), dy = floor_divided(seen_y, tiling.height);
    const Size dx = floor_divided(seen_x, tiling.width), tiles = (dz * tiling.tiles_y + dy) * tiling.tiles_x + dx;
    z = seen_z - dz * tiling.depth;
    y = seen_y - dy * tiling.height;
    x = seen_x - dx * tiling.width;
    is_own = dz == 0 && dy == 0 && dx == 0;
    for (Size lane = 0; lane < Kind::kLanes; ++lane) {
      const bool inside = layout.is_pixel(lane, seen_z, seen_y, seen_x);
      using Number = std::remove_reference_t<decltype(shuffle.lane[0])>;
      shuffle.lane[lane] = static_cast<Number>(inside ? lane + tiles : -1);
      is_own = is_own && inside;
    }
    tell_lanes(shuffle);
  }
};

/// The shuffles of one row of tiles; targets and sources count from the row's first channel in memory.
template <class Kind>
std::vector<typename Kind::Moved> shuffles_of_row(const Layout& layout, const Halo& needed, Size z, Size y,
                                                  bool sees_outside) {
  std::vector<typename Kind::Moved> result;
  const Size row = layout.at(0, z, y, 0, 0);
  for (Size x = -needed.left; x < layout.tiling.width + needed.right; ++x) {
    Origin<Kind> origin(layout, z, y, x);
    auto& shuffle = origin.shuffle;
    shuffle.target = Kind::kInFloat * (layout.at(0, z, y, 0, x) - row);
    shuffle.source = Kind::kInFloat * (layout.at(0, origin.z, origin.y, 0, origin.x) - row);
    const bool in_tile = shuffle.target == shuffle.source;
    if (in_tile ? !origin.is_own && sees_outside : true) result.push_back(shuffle);
  }
  return result;
}

/// True if shuffles fill a whole row, halo and all, with what lies outside.
template <class Moved>
bool is_outside(const Layout& layout, const std::vector<Moved>& shuffles) {
  const auto is_none = [](const Moved& one) {
    return std::all_of(std::begin(one.lane), std::end(one.lane), [](auto lane) { return lane < 0; });
  };
  return static_cast<Size>(shuffles.size()) == layout.columns() &&
         std::all_of(shuffles.begin(), shuffles.end(), is_none);
}

/// The rows of a tile that change, and those around it: which shuffles make them.
template <class Kind>
class SurroundingsOf final : public Surroundings {
 public:
  SurroundingsOf(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed,
                 typename Kind::Entry outside, bool sees_outside)
      : kernels_(kernels),
        blocked_(blocked),
        layout_(layout),
        outside_(outside),
        of_tile_(static_cast<std::size_t>(layout.tiling.rows())),
        around_(static_cast<std::size_t>(layout.tiling.rows())) {
    const Tiling& tiling = layout.tiling;
    for (Size z = -needed.front; z < tiling.depth + needed.back; ++z)
      for (Size y = -needed.above; y < tiling.height + needed.below; ++y) {
        Row row{z, y, shuffles_of_row<Kind>(layout, needed, z, y, sees_outside)};
        if (row.shuffles.empty()) continue;
        const Size nearest_z = std::clamp<Size>(z, 0, tiling.depth - 1);
        const Size nearest_y = std::clamp<Size>(y, 0, tiling.height - 1);
        const auto nearest = static_cast<std::size_t>(nearest_z * tiling.height + nearest_y);
        const bool in_tile = nearest_z == z && nearest_y == y;
        for (const auto& one : row.shuffles) changes_tile_ = changes_tile_ || (in_tile && one.target == one.source);
        if (is_outside(layout, row.shuffles)) row.shuffles.clear();
        (in_tile ? of_tile_ : around_)[nearest].push_back(std::move(row));
      }
  }

  void fill(Buffers buffers, Size group, Size first, Size channels) const override {
    for (Size block = first; block < first + channels; block += Kind::kChannels) {
      const Size count = std::min(Kind::kChannels, first + channels - block);
      for (const auto& rows : of_tile_) fill(buffers, group, rows, block, count);
      for (const auto& rows : around_) fill(buffers, group, rows, block, count);
    }
  }

  /// Columns beside a row of a tile, and what of it lies outside the picture.
  void fill_row(Buffers buffers, Size group, Size row, Size first, Size channels) const {
    fill(buffers, group, of_tile_[static_cast<std::size_t>(row)], first, channels);
  }
  /// The rows around the tile that are nearest to this one of it.
  void fill_near(Buffers buffers, Size group, Size row, Size first, Size channels) const {
    fill(buffers, group, around_[static_cast<std::size_t>(row)], first, channels);
  }
  /// True if vectors of tiles change, which the rows around are made from.
  bool changes_tile() const { return changes_tile_; }

 private:
  struct Row {
    Size z, y;
    std::vector<typename Kind::Moved> shuffles;  // none if all of it lies outside
  };

  typename Kind::Entry* entries(Buffers buffers, Size floats) const {
    return reinterpret_cast<typename Kind::Entry*>(buffers[blocked_] + floats);
  }

  void fill(Buffers buffers, Size group, const std::vector<Row>& rows, Size first, Size channels) const {
    for (const Row& row : rows) {
      if (row.shuffles.empty())
        std::fill_n(entries(buffers, layout_.at(group, row.z, row.y, first, -layout_.halo.left)),
                    Kind::kInFloat * channels * layout_.channel_floats(), outside_);
      else
        (kernels_.*Kind::kKernel)(entries(buffers, layout_.at(group, row.z, row.y, first, 0)), channels,
                                  Kind::kInFloat * layout_.channel_floats(), row.shuffles.data(),
                                  static_cast<std::ptrdiff_t>(row.shuffles.size()), outside_);
    }
  }

  const Kernels& kernels_;
  int blocked_;
  Layout layout_;
  typename Kind::Entry outside_;
  bool changes_tile_ = false;
  std::vector<std::vector<Row>> of_tile_, around_;  // by row of a tile
};

/// Pieces: some channels of a group each; or, where there are fewer groups than threads, of one row of a tile and the
/// rows around the tile that are nearest to it, so that a thread finds what it has written, and writes what it will
/// read. All of them read rows of tiles. Where these change themselves, because a tile reaches beyond the picture, the
/// rows around have to wait for all of them.
template <class Kind>
class HaloStep final : public Step {
 public:
  HaloStep(const Layout& layout, SurroundingsOf<Kind> around, int threads)
      : layout_(layout), around_(std::move(around)), by_rows_(layout.groups() < threads) {}

  Size pieces() const override { return pieces_at_once() * (by_rows_ && around_.changes_tile() ? 2 : 1); }
  Size pieces_at_once() const override { return layout_.groups() * (by_rows_ ? rows() : 1) * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size at = piece % pieces_at_once(), first = at % blocks() * Kind::kChannels;
      const Size channels = std::min(Kind::kChannels, layout_.image.channels - first);
      if (!by_rows_) {
        around_.fill(buffers, at / blocks(), first, channels);
        continue;
      }
      const Size group = at / blocks() / rows(), row = at / blocks() % rows();
      const bool is_last_turn = piece + pieces_at_once() >= pieces();
      if (piece < pieces_at_once()) around_.fill_row(buffers, group, row, first, channels);
      if (is_last_turn) around_.fill_near(buffers, group, row, first, channels);
    }
  }

 private:
  Size rows() const { return layout_.tiling.rows(); }
  Size blocks() const { return ceil_divided(layout_.image.channels, Kind::kChannels); }

  Layout layout_;
  SurroundingsOf<Kind> around_;
  bool by_rows_;
};

/// Floats of a channel fetched one by one, wherever they lie: for pictures and tiles so narrow that transposing blocks
/// of 16 columns would mostly move nothing. Pieces: some channels of some stretches of a group each.
class PickStep final : public Step {
 public:
  /// Where channels and groups of a buffer begin, in floats.
  struct Side {
    int buffer;
    Size channel, group;
  };
  /// A stretch of the target; its offsets are the next `count`, -1 for what lies outside.
  struct Stretch {
    Size target, count;
    Size offsets = 0, inside = 0;  // where its own begin
  };

  PickStep(const Kernels& kernels, const Side& source, const Side& target, Size groups, Size channels, float outside,
           std::vector<Stretch> stretches, std::vector<std::int32_t> offsets)
      : kernels_(kernels),
        source_(source),
        target_(target),
        groups_(groups),
        channels_(channels),
        outside_(outside),
        stretches_(std::move(stretches)),
        offsets_(std::move(offsets)) {
    auto next = offsets_.begin();
    for (Stretch& one : stretches_) {
      one.offsets = next - offsets_.begin();
      one.inside = static_cast<Size>(inside_.size());
      for (Size i = 0; i < one.count; ++i, ++next) {
        if (i % kVector == 0) inside_.push_back(0);
        if (*next < 0)
          *next = 0;
        else
          inside_.back() = static_cast<std::uint16_t>(inside_.back() | 1 << i % kVector);
      }
    }
    const Size count = static_cast<Size>(stretches_.size());
    parts_ = equal_parts(count, std::min(count, ceil_divided(static_cast<Size>(offsets_.size()), kOffsets)));
  }

  Size pieces() const override { return groups_ * static_cast<Size>(parts_.size()) * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size parts = static_cast<Size>(parts_.size()), group = piece / blocks() / parts;
      const Range& part = parts_[static_cast<std::size_t>(piece / blocks() % parts)];
      const Size channel = piece % blocks() * kChannels;
      const float* source = buffers[source_.buffer] + group * source_.group + channel * source_.channel;
      float* target = buffers[target_.buffer] + group * target_.group + channel * target_.channel;
      for (Size i = part.begin; i < part.end; ++i) {
        const Stretch& one = stretches_[static_cast<std::size_t>(i)];
        kernels_.pick({source, target + one.target, source_.channel, target_.channel,
                       std::min(kChannels, channels_ - channel), offsets_.data() + one.offsets,
                       inside_.data() + one.inside, one.count, outside_});
      }
    }
  }

 private:
  static constexpr Size kChannels = 16, kOffsets = 1024;  // of a piece, about
  Size blocks() const { return ceil_divided(channels_, kChannels); }

  const Kernels& kernels_;
  Side source_, target_;
  Size groups_, channels_;
  float outside_;
  std::vector<Stretch> stretches_;
  std::vector<Range> parts_;  // of stretches
  std::vector<std::int32_t> offsets_;
  std::vector<std::uint16_t> inside_;  // a bit for each offset, from a new one on in each stretch
};

/// Of a pixel of an image within its group: floats from the first channel's begin. The layout covers the picture.
Size place_of(const Layout& layout, Size image, Size z, Size y, Size x) {
  return layout.vector_of(z, y, x) + layout.lane_of(image, z, y, x);
}

/// Vectors of `target`, halo and all, from wherever `source` says that a pixel of an image of the group lies.
template <class Source>
std::unique_ptr<Step> picked(const Kernels& kernels, const PickStep::Side& from, int to, const Layout& target,
                             float outside, const Source& source) {
  const Image& image = target.image;
  std::vector<PickStep::Stretch> stretches;
  std::vector<std::int32_t> offsets;
  for (Size z = -target.halo.front; z < target.slices() - target.halo.front; ++z)
    for (Size y = -target.halo.above; y < target.rows() - target.halo.above; ++y)
      stretches.push_back({target.at(0, z, y, 0, -target.halo.left), target.columns() * kVector});
  target.each_lane([&](Size lane, Size slice, Size row, Size column) {
    const bool inside = image.has(slice, row, column);
    offsets.push_back(static_cast<std::int32_t>(inside ? source(target.lane_image(lane), slice, row, column) : -1));
  });
  const PickStep::Side side{to, target.channel_floats(), target.group_floats()};
  return std::make_unique<PickStep>(kernels, from, side, target.groups(), image.channels, outside, std::move(stretches),
                                    std::move(offsets));
}

/// One image in a vector, in rows so short that picking its floats is faster than transposing.
bool is_narrow(const Layout& layout) {
  constexpr Size kWidest = 16;
  return layout.tiling.images == 1 && layout.columns() <= kWidest;
}

constexpr double kCyclesPerPick = 16;                                // of a vector
constexpr Size kOffsets = std::numeric_limits<std::int32_t>::max();  // of picks, in floats
constexpr Size kFarthest = kOffsets / 4;

/// Rows of a channel, each transposed in blocks of 16 columns.
double moved(Size rows, Size columns) {
  return static_cast<double>(rows) * (70.0 + 90.0 * static_cast<double>((columns + kVector - 1) / kVector));
}

}  // namespace

std::unique_ptr<Step> make_gather(const Kernels& kernels, int plain, int blocked, const Layout& layout, float outside) {
  const Image& image = layout.image;
  if (is_narrow(layout) && image.pixels() <= kFarthest)
    return picked(kernels, {plain, image.pixels(), image.channels * image.pixels()}, blocked, layout, outside,
                  [&](Size, Size z, Size y, Size x) { return image.at(z, y, x); });
  return std::make_unique<Gather>(kernels, plain, blocked, layout, outside);
}

std::unique_ptr<Step> make_scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain) {
  const Image& image = layout.image;
  if (is_narrow(layout) && can_move(layout)) {
    std::vector<std::int32_t> offsets;
    for (Size z = 0; z < image.depth; ++z)
      for (Size y = 0; y < image.height; ++y)
        for (Size x = 0; x < image.width; ++x)
          offsets.push_back(static_cast<std::int32_t>(place_of(layout, 0, z, y, x)));
    const PickStep::Side from{blocked, layout.channel_floats(), layout.group_floats()};
    const PickStep::Side to{plain, image.pixels(), image.channels * image.pixels()};
    return std::make_unique<PickStep>(kernels, from, to, layout.groups(), image.channels, 0.0f,
                                      std::vector<PickStep::Stretch>{{0, image.pixels()}}, std::move(offsets));
  }
  return std::make_unique<Scatter>(kernels, blocked, layout, plain);
}

std::unique_ptr<Step> make_move(const Kernels& kernels, int from, const Layout& source, int to, const Layout& target,
                                float outside) {
  return make_crop(kernels, from, source, {}, to, target, outside);
}

std::unique_ptr<Step> make_crop(const Kernels& kernels, int from, const Layout& source, const Corner& corner, int to,
                                const Layout& target, float outside) {
  if (source.tiling.images != target.tiling.images || source.group_floats() > kOffsets)
    throw Error(NS_ERROR_INTERNAL,
                "vectors of a layer can't be moved to where the next one needs them: please report it.");
  if (auto step = make_vector_picks(kernels, from, source, corner, to, target, outside)) return step;
  return picked(kernels, {from, source.channel_floats(), source.group_floats()}, to, target, outside,
                [&](Size image, Size z, Size y, Size x) {
                  return place_of(source, image, z + corner.z, y + corner.y, x + corner.x);
                });
}

bool can_move(const Layout& source) { return source.group_floats() <= kFarthest; }  // the halo may still grow

std::unique_ptr<Step> make_halo(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed,
                                float outside, bool sees_outside, int threads) {
  return std::make_unique<HaloStep<Floats>>(
      layout, SurroundingsOf<Floats>(kernels, blocked, layout, needed, outside, sees_outside), threads);
}

DressedTile::DressedTile(const Layout& layout, const Halo& around, Dressing dressing)
    : row_floats(dressing == Dressing::kCopied ? (around.left + layout.tiling.width + around.right) * kVector
                                               : layout.row_floats()) {
  constexpr Size kFewest = 4;  // vectors of a run: fewer are moved as their neighbours are
  const Size origin = layout.at(0, 0, 0, 0, 0), rows = around.above + layout.tiling.height + around.below;
  const bool in_place = dressing != Dressing::kCopied;
  if (!in_place) floats = rows * row_floats;
  if (in_place) first_floats = layout.at(0, 0, -around.above, 0, -around.left) - origin;
  first_move.push_back(0);
  if (dressing == Dressing::kThere) return;
  std::vector<std::vector<VectorMove>> of_map;
  const auto moves_of = [&](const LaneMap& map) -> std::vector<VectorMove>& {
    const auto found = std::find_if(maps.begin(), maps.end(), [&](const LaneMap& one) {
      return std::equal(std::begin(one.lane), std::end(one.lane), std::begin(map.lane));
    });
    const auto place = static_cast<std::size_t>(found - maps.begin());
    if (found == maps.end()) maps.push_back(map);
    of_map.resize(maps.size());
    return of_map[place];
  };
  for (Size y = -around.above; y < layout.tiling.height + around.below; ++y) {
    std::vector<Origin<Floats>> own;  // of a run so far
    const auto move_of = [&](const Origin<Floats>& from, Size x) {
      return VectorMove{(y + around.above) * row_floats + (x + around.left) * kVector,
                        layout.at(0, 0, from.y, 0, from.x) - origin};
    };
    for (Size x = -around.left; x < layout.tiling.width + around.right; ++x) {
      const Origin<Floats> from(layout, 0, y, x);
      if (in_place && from.is_own) continue;
      if (from.is_own && x == static_cast<Size>(own.size()))
        own.push_back(from);
      else
        moves_of(from.shuffle).push_back(move_of(from, x));
    }
    const Size count = static_cast<Size>(own.size());
    if (count >= kFewest) runs.push_back({move_of(own.front(), 0), static_cast<std::ptrdiff_t>(count)});
    for (Size x = 0; x < count && count < kFewest; ++x) {
      const Origin<Floats>& from = own[static_cast<std::size_t>(x)];
      moves_of(from.shuffle).push_back(move_of(from, x));
    }
  }
  for (const std::vector<VectorMove>& some : of_map) {
    moves.insert(moves.end(), some.begin(), some.end());
    first_move.push_back(static_cast<std::ptrdiff_t>(moves.size()));
  }
}

std::unique_ptr<Step> make_fixed_halo(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed,
                                      std::int16_t outside, bool sees_outside, int threads) {
  return std::make_unique<HaloStep<WholeNumbers>>(
      layout, SurroundingsOf<WholeNumbers>(kernels, blocked, layout, needed, outside, sees_outside), threads);
}

std::unique_ptr<Surroundings> make_fixed_surroundings(const Kernels& kernels, int blocked, const Layout& layout,
                                                      const Halo& needed, std::int16_t outside, bool sees_outside) {
  return std::make_unique<SurroundingsOf<WholeNumbers>>(kernels, blocked, layout, needed, outside, sees_outside);
}

bool needs_halo(const Layout& layout, const Halo& needed, bool sees_outside) {
  for (Size z = -needed.front; z < layout.tiling.depth + needed.back; ++z)
    for (Size y = -needed.above; y < layout.tiling.height + needed.below; ++y)
      if (layout.tiling.lanes() == kVector ? !shuffles_of_row<Floats>(layout, needed, z, y, sees_outside).empty()
                                           : !shuffles_of_row<WholeNumbers>(layout, needed, z, y, sees_outside).empty())
        return true;
  return false;
}

double gather_cycles(const Layout& layout) {
  if (is_narrow(layout)) return move_cycles(layout);
  return moved(layout.groups() * layout.slices() * layout.rows() * layout.image.channels, layout.columns());
}

double scatter_cycles(const Layout& layout) {
  const Image& image = layout.image;
  if (is_narrow(layout))
    return kCyclesPerPick *
           static_cast<double>(layout.groups() * image.channels * ceil_divided(image.pixels(), kVector));
  return moved(layout.groups() * layout.tiling.rows() * layout.image.channels, layout.tiling.width);
}

double move_cycles(const Layout& target) {
  return kCyclesPerPick * static_cast<double>(target.groups() * target.image.channels * target.slices() *
                                              target.rows() * target.columns());
}

double halo_cycles(const Layout& layout, const Halo& needed) {
  const Tiling& tiling = layout.tiling;
  const Size seen = (needed.front + tiling.depth + needed.back) * (needed.above + tiling.height + needed.below) *
                    (needed.left + tiling.width + needed.right);
  return 6.0 * static_cast<double>((seen - layout.tiling.vectors()) * layout.groups() * layout.image.channels);
}

}  // namespace netsurgery
