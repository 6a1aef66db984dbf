#include "lanes/fixed_average.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "lanes/aligned.hpp"
#include "lanes/fixed_point.hpp"

namespace netsurgery {
namespace {

constexpr Size kChannels = 16;  // at once

/// Pieces: some channels of a group each.
class FixedAverage final : public Step {
 public:
  FixedAverage(const Kernels& kernels, int input, const Layout& layout, double unit, int plain)
      : kernels_(kernels), input_(input), plain_(plain), layout_(layout), unit_(unit) {
    const Tiling& tiling = layout.tiling;
    inside_.assign(static_cast<std::size_t>(tiling.vectors()), {});
    for (Size row = 0; row < tiling.rows(); ++row)
      for (Size x = 0; x < tiling.width; ++x)
        for (Size lane = 0; lane < kShorts; ++lane)
          inside_[static_cast<std::size_t>(row * tiling.width + x)].of[lane] =
              layout.is_pixel(lane, row / tiling.height, row % tiling.height, x) ? -1 : 0;
  }

  Size pieces() const override { return layout_.groups() * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) some(buffers, piece / blocks(), piece % blocks() * kChannels);
  }

 private:
  struct alignas(kAlignment) Lanes {
    std::int16_t of[kShorts];
  };

  Size blocks() const { return ceil_divided(layout_.image.channels, kChannels); }

  void some(Buffers buffers, Size group, Size first) const {
    const Tiling& tiling = layout_.tiling;
    const Image& image = layout_.image;
    alignas(kAlignment) std::int32_t all_sums[kChannels][kShorts];
    FixedSums work{};
    work.channels = std::min(kChannels, image.channels - first);
    work.channel = kShortsPerFloat * layout_.channel_floats();
    work.rows = tiling.height;
    work.row = kShortsPerFloat * layout_.row_floats();
    work.columns = tiling.width;
    work.sums = all_sums[0];
    for (Size z = 0; z < tiling.depth; ++z) {
      work.input = reinterpret_cast<const std::int16_t*>(buffers[input_] + layout_.at(group, z, 0, first, 0));
      work.inside = inside_[static_cast<std::size_t>(z * tiling.height * tiling.width)].of;
      work.adds = z > 0;
      kernels_.fixed_sum_lanes(work);
    }
    const Size lanes = kShorts / tiling.images;  // of an image, side by side
    for (Size c = 0; c < work.channels; ++c)
      for (Size i = 0; i < tiling.images && group * tiling.images + i < image.count; ++i) {
        const std::int32_t* sums = all_sums[c] + i * lanes;
        const std::int32_t sum = std::accumulate(sums, sums + lanes, std::int32_t{0});
        buffers[plain_][(group * tiling.images + i) * image.channels + first + c] =
            static_cast<float>(static_cast<double>(sum) * unit_ / static_cast<double>(image.pixels()));
      }
  }

  const Kernels& kernels_;
  int input_, plain_;
  Layout layout_;
  double unit_;
  std::vector<Lanes> inside_;  // of each pixel of a tile: which lanes are
};

}  // namespace

bool has_fixed_average(const Image& image) {
  return image.pixels() <= std::numeric_limits<std::int32_t>::max() / (kLargestShort + 1);
}

std::unique_ptr<Step> make_fixed_average(const Kernels& kernels, int input, const Layout& layout, double unit,
                                         int plain) {
  return std::make_unique<FixedAverage>(kernels, input, layout, unit, plain);
}

}  // namespace netsurgery
