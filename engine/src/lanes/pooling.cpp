#include "lanes/pooling.hpp"

#include <algorithm>

#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

/// How many pixels each window of one axis sees that count.
Size counted(Size window, Size stride, Size dilation, Size kernel, Size before, Size after, Size size, bool padding) {
  Size count = 0;
  for (Size tap = 0; tap < kernel; ++tap) {
    const Size at = window * stride + tap * dilation - before;
    count += padding ? at >= -before && at < size + after : at >= 0 && at < size;
  }
  return count;
}

/// Pieces: rows of output tiles in all groups.
class PoolStep final : public Step {
 public:
  PoolStep(const Kernels& kernels, const Pool& pool, int input, const Layout& input_layout, int output,
           const Layout& output_layout)
      : kernels_(kernels),
        pool_(pool),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout) {
    if (pool.average) divisors();
  }

  Size pieces() const override { return output_layout_.groups() * output_layout_.tiling.rows(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const Size rows = output_layout_.tiling.rows(), height = output_layout_.tiling.height;
    const Size width = output_layout_.tiling.width;
    PoolRow row{};
    row.input_column = pool_.stride_x * kVector;
    row.tap_slice = pool_.dilation_z * input_layout_.slice_floats();
    row.tap_row = pool_.dilation_y * input_layout_.row_floats();
    row.tap_column = pool_.dilation_x * kVector;
    row.taps_z = pool_.kernel_z;
    row.taps_y = pool_.kernel_y;
    row.taps_x = pool_.kernel_x;
    row.columns = width;
    row.channels = output_layout_.image.channels;
    row.input_channel = input_layout_.channel_floats();
    row.output_channel = output_layout_.channel_floats();
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / rows, at = piece % rows;
      row.divisors = divisors_.empty() ? nullptr : divisors_[static_cast<std::size_t>(at * width)].of;
      row.input = buffers[input_] + pool_.begin(input_layout_, group, at / height, at % height, 0);
      row.output = buffers[output_] + output_layout_.at_row(group, at, 0, 0);
      kernels_.pool(row);
    }
  }

 private:
  /// Of each pixel in a tile and each lane; 1 outside of the picture.
  void divisors() {
    const Tiling& tiling = output_layout_.tiling;
    const Image& image = input_layout_.image;
    divisors_.resize(static_cast<std::size_t>(tiling.vectors()));
    for (Size at = 0; at < tiling.rows(); ++at)
      for (Size x = 0; x < tiling.width; ++x)
        for (Size lane = 0; lane < kVector; ++lane) {
          const Size slice = output_layout_.lane_z(lane) + at / tiling.height;
          const Size row = output_layout_.lane_y(lane) + at % tiling.height, column = output_layout_.lane_x(lane) + x;
          const Size by_z = counted(slice, pool_.stride_z, pool_.dilation_z, pool_.kernel_z, pool_.pad_front,
                                    pool_.pad_back, image.depth, pool_.counts_padding);
          const Size by_y = counted(row, pool_.stride_y, pool_.dilation_y, pool_.kernel_y, pool_.pad_above,
                                    pool_.pad_below, image.height, pool_.counts_padding);
          const Size by_x = counted(column, pool_.stride_x, pool_.dilation_x, pool_.kernel_x, pool_.pad_left,
                                    pool_.pad_right, image.width, pool_.counts_padding);
          divisors_[static_cast<std::size_t>(at * tiling.width + x)].of[lane] =
              static_cast<float>(std::max<Size>(1, by_z * by_y * by_x));
        }
  }

  struct alignas(64) Divisors {
    float of[kVector];
  };

  const Kernels& kernels_;
  Pool pool_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  std::vector<Divisors> divisors_;
};

/// As the loop that adds neighbours until one sum is left, without writing those between down.
template <int kCount>
double in_pairs(const double* sums) {
  if constexpr (kCount == 1)
    return sums[0];
  else
    return in_pairs<kCount / 2>(sums) + in_pairs<kCount / 2>(sums + kCount / 2);
}

/// Pieces: some channels of a group each.
class GlobalAverage final : public Step {
 public:
  GlobalAverage(const Kernels& kernels, int input, const Layout& layout, int plain)
      : input_(input),
        plain_(plain),
        channels_(layout.image.channels),
        groups_(layout.groups()),
        averages_(kernels, layout) {}

  Size pieces() const override { return groups_ * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size first = piece % blocks() * Averages::kChannels;
      averages_.put(buffers[input_], piece / blocks(), {first, std::min(first + Averages::kChannels, channels_)},
                    buffers[plain_]);
    }
  }

 private:
  Size blocks() const { return ceil_divided(channels_, Averages::kChannels); }

  int input_, plain_;
  Size channels_, groups_;
  Averages averages_;
};

}  // namespace

Averages::Averages(const Kernels& kernels, const Layout& layout) : kernels_(kernels), layout_(layout) {
  const Tiling& tiling = layout.tiling;
  bool all = true;
  for (Size row = 0; row < tiling.rows(); ++row)
    for (Size x = 0; x < tiling.width; ++x) {
      Lanes lanes{};
      for (Size lane = 0; lane < kVector; ++lane) {
        const bool is_pixel = layout.is_pixel(lane, row / tiling.height, row % tiling.height, x);
        lanes.of[lane] = is_pixel ? ~std::uint32_t{0} : 0;
        all = all && is_pixel;
      }
      inside_.push_back(lanes);
    }
  if (all) inside_.clear();
}

void Averages::put(const float* input, Size group, const Range& channels, float* plain) const {
  const Image& image = layout_.image;
  const Tiling& tiling = layout_.tiling;
  alignas(kAlignment) double all_sums[kChannels][kVector];
  LaneSums work{};
  work.channels = channels.count();
  work.channel = layout_.channel_floats();
  work.rows = tiling.height;
  work.row = layout_.row_floats();
  work.columns = tiling.width;
  work.sums = all_sums[0];
  for (Size z = 0; z < tiling.depth; ++z) {
    work.input = input + layout_.at(group, z, 0, channels.begin, 0);
    work.inside = inside_.empty() ? nullptr : inside_[static_cast<std::size_t>(z * tiling.height * tiling.width)].of;
    work.adds = z > 0;
    kernels_.sum_lanes(work);
  }
  for (Size c = 0; c < channels.count(); ++c) {
    // Neighbours in pairs, until one is left of each image: sums that don't wait for each other.
    double* const sums = all_sums[c];
    if (tiling.images == 1)
      sums[0] = in_pairs<kVector>(sums);
    else
      for (Size width = kVector / 2; width >= tiling.images; width /= 2)
        for (Size lane = 0; lane < width; ++lane) sums[lane] = sums[2 * lane] + sums[2 * lane + 1];
    for (Size i = 0; i < tiling.images && group * tiling.images + i < image.count; ++i)
      plain[(group * tiling.images + i) * image.channels + channels.begin + c] =
          static_cast<float>(sums[i] / static_cast<double>(image.pixels()));
  }
}

std::unique_ptr<Step> make_pool(const Kernels& kernels, const Pool& pool, int input, const Layout& input_layout,
                                int output, const Layout& output_layout) {
  return std::make_unique<PoolStep>(kernels, pool, input, input_layout, output, output_layout);
}

std::unique_ptr<Step> make_global_average(const Kernels& kernels, int input, const Layout& layout, int plain) {
  return std::make_unique<GlobalAverage>(kernels, input, layout, plain);
}

}  // namespace netsurgery
