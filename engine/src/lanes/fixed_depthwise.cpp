#include "lanes/fixed_depthwise.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lanes/pieces.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerTap = 2.5, kCyclesPerFinished = 10;  // of a vector
constexpr double kCyclesPerShortTap = 1, kCyclesPerShort = 3;   // the same in 16 bits

/// Pieces: rows of tiles in all groups; or all rows of some channels, where what lies around their tiles is filled
/// first.
class FixedDepthwiseStep final : public Step {
 public:
  FixedDepthwiseStep(const Kernels& kernels, const Convolution& convolution, const FixedLimits& inputs, int input,
                     const Layout& input_layout, int output, const Layout& output_layout, const FixedEnding& ending,
                     std::unique_ptr<const Surroundings> around, int threads)
      : kernels_(kernels),
        windows_(convolution),
        around_(std::move(around)),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        weights_(convolution.weight->dense()),
        whole_(weights_.size(), 0),
        in_shorts_(static_cast<std::size_t>(convolution.outputs()), 0),
        columns_(parts(output_layout.tiling.width, std::min<Size>(kernels.most_vectors, kMostStripColumns))) {
    if (around_) maps_ = parts_of_maps(input_layout, output_layout, threads);
    if (is_whole(*convolution.weight)) take_shorts(reaches(*convolution.weight, inputs));
  }

  Size pieces() const override {
    return output_layout_.groups() * (around_ ? static_cast<Size>(maps_.size()) : output_layout_.tiling.height);
  }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      if (!around_) {
        const Size height = output_layout_.tiling.height;
        row(buffers, piece / height, piece % height, {0, output_layout_.image.channels});
        continue;
      }
      const Size count = static_cast<Size>(maps_.size()), group = piece / count;
      const Range& channels = maps_[static_cast<std::size_t>(piece % count)];
      around_->fill(buffers, group, channels.begin, channels.count());
      for (Size y = 0; y < output_layout_.tiling.height; ++y) row(buffers, group, y, channels);
    }
  }

 private:
  /// Which channels sum in 16 bits, and their weights. largest: what the sums of each reach.
  void take_shorts(const std::vector<double>& largest) {
    const std::size_t taps = static_cast<std::size_t>(windows_.taps());
    for (std::size_t channel = 0; channel < largest.size(); ++channel) {
      const int doublings = ending_.doublings.empty() ? 0 : ending_.doublings[channel];
      const auto weights = weights_.begin() + static_cast<std::ptrdiff_t>(channel * taps);
      // A weight beyond 16 bits sees no input but 0.
      const bool fits = std::ldexp(largest[channel], doublings) <= static_cast<double>(kLargestShort) &&
                        std::all_of(weights, weights + windows_.taps(), [doublings](float weight) {
                          return std::ldexp(std::abs(weight), doublings) <= static_cast<float>(kLargestShort);
                        });
      in_shorts_[channel] = fits;
      for (std::size_t i = channel * taps; fits && i < (channel + 1) * taps; ++i)
        whole_[i] = static_cast<std::int16_t>(std::ldexp(weights_[i], doublings));
    }
  }

  void row(Buffers buffers, Size group, Size y, const Range& channels) const {
    const auto& kernels =
        kernels_.fixed_depthwise[place_of(kFixedDepthwiseTaps, windows_.kernel_x)][windows_.stride_x - 1];
    const Size first = channels.begin;
    FixedDepthwise work{};
    work.input_row = kShortsPerFloat * windows_.dilation_y * input_layout_.row_floats();
    work.input_channel = kShortsPerFloat * input_layout_.channel_floats();
    work.output_channel = kShortsPerFloat * output_layout_.channel_floats();
    work.channels = channels.count();
    work.weights = weights_.data() + first * windows_.taps();
    work.whole = whole_.data() + first * windows_.taps();
    work.in_shorts = in_shorts_.data() + first;
    work.taps_y = windows_.kernel_y;
    work.finish = finish_of(ending_, first, first);
    for (const Range& columns : columns_) {
      work.input = shorts(buffers[input_] + windows_.begin(input_layout_, group, 0, y, columns.begin) +
                          first * input_layout_.channel_floats());
      work.output = shorts(buffers[output_] + output_layout_.at(group, 0, y, first, columns.begin));
      kernels[columns.count() - 1](work);
    }
  }

  const Kernels& kernels_;
  Windows windows_;
  std::unique_ptr<const Surroundings> around_;
  std::vector<Range> maps_;  // channels whose surroundings are filled together
  int input_, output_;
  Layout input_layout_, output_layout_;
  FixedEnding ending_;
  std::vector<float> weights_;
  std::vector<std::int16_t> whole_;
  std::vector<std::uint8_t> in_shorts_;
  std::vector<Range> columns_;
};

}  // namespace

bool is_fixed_depthwise(const Convolution& convolution, const Image& input) {
  return input.depth == 1 && convolution.kernel_z == 1 && convolution.groups == input.channels &&
         convolution.groups > 1 && convolution.outputs() == input.channels && convolution.dilation_x == 1 &&
         convolution.stride_x <= kMostFixedDepthwiseStep && place_of(kFixedDepthwiseTaps, convolution.kernel_x) >= 0;
}

double fixed_depthwise_cycles(const Convolution& convolution, const Layout& output, bool in_shorts) {
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors() * output.image.channels);
  const double taps = static_cast<double>(convolution.taps());
  return vectors *
         (in_shorts ? kCyclesPerShortTap * taps + kCyclesPerShort : kCyclesPerTap * taps + kCyclesPerFinished);
}

std::unique_ptr<Step> make_fixed_depthwise(const Kernels& kernels, const Convolution& convolution,
                                           const FixedLimits& inputs, int input, const Layout& input_layout, int output,
                                           const Layout& output_layout, const FixedEnding& ending,
                                           std::unique_ptr<const Surroundings> around, int threads) {
  return std::make_unique<FixedDepthwiseStep>(kernels, convolution, inputs, input, input_layout, output, output_layout,
                                              ending, std::move(around), threads);
}

}  // namespace netsurgery
