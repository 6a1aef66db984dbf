#include "lanes/depthwise_convolution.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "lanes/movement.hpp"
#include "lanes/pieces.hpp"
#include "lanes/pooling.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerSum = 3;  // of a vector, beside one for each tap
constexpr Size kVectorBytes = kVector * static_cast<Size>(sizeof(float));
constexpr Size kScratchBytes = 20 * 1024;    // of a dressed channel: more than that leaves the first cache
constexpr Size kFewestActivated = 7;         // vectors of a row, for a function of each row
constexpr Size kActivatedBytes = 16 * 1024;  // of sums that are still in the first cache when an activation follows

/// Pieces: some channels of a group of lanes each.
class DepthwiseConvolution final : public Step {
 public:
  DepthwiseConvolution(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                       int output, const Layout& output_layout, const Ending& ending, Dressing dressing, int threads)
      : kernels_(kernels),
        windows_(convolution),
        multiplier_(convolution.outputs() / convolution.groups),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        dressed_(input_layout, convolution.around(input_layout.tiling, output_layout.tiling), dressing),
        weights_(convolution.weight->dense()),
        bias_(convolution.biases()),
        parts_(parts_of_maps(input_layout, output_layout, threads)) {
    if (ending.average >= 0) averages_.emplace(kernels, output_layout);
    const Size width = output_layout.tiling.width;
    columns_ = ceil_divided(width, ceil_divided(width, kMostDepthwiseColumns));
    for (Size y = 0; y < output_layout.tiling.height; ++y)
      for (Size x = 0; x < width; ++x)
        places_.push_back(output_layout.at(0, 0, y, 0, x) - output_layout.at(0, 0, 0, 0, 0));
  }

  Size pieces() const override { return output_layout_.groups() * static_cast<Size>(parts_.size()); }
  Size scratch() const override { return dressed_.floats; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size count = static_cast<Size>(parts_.size());
    for (Size piece = begin; piece < end; ++piece) {
      const Range& channels = parts_[static_cast<std::size_t>(piece % count)];
      const Size at_once = is_activated_behind() || averages_ ? read_again() : channels.count();
      for (Size first = channels.begin; first < channels.end; first += at_once)
        some(buffers, piece / count, {first, std::min(first + at_once, channels.end)}, scratch);
    }
  }

 private:
  /// Where rows are so short that calls would cost more than the function.
  bool is_activated_behind() const { return ending_.activation && output_layout_.tiling.width < kFewestActivated; }
  /// Channels whose outputs are read again while they are in a near cache.
  Size read_again() const {
    const Size bytes = static_cast<Size>(places_.size()) * multiplier_ * kVectorBytes;
    const Size most = averages_ ? std::max<Size>(1, Averages::kChannels / multiplier_) : kActivatedBytes;
    return std::clamp<Size>(kActivatedBytes / bytes, 1, most);
  }

  void some(Buffers buffers, Size group, const Range& channels, float* scratch) const {
    const Size first = channels.begin * multiplier_;
    DepthwiseChannels work{};
    work.input = buffers[input_] + input_layout_.at(group, 0, 0, channels.begin, 0);
    work.input_channel = input_layout_.channel_floats();
    work.channels = channels.count();
    work.multiplier = multiplier_;
    work.runs = dressed_.runs.data();
    work.moves = dressed_.moves.data();
    work.maps = dressed_.maps.data();
    work.first_move = dressed_.first_move.data();
    work.runs_count = static_cast<std::ptrdiff_t>(dressed_.runs.size());
    work.maps_count = static_cast<std::ptrdiff_t>(dressed_.maps.size());
    work.scratch = dressed_.floats > 0 ? scratch : nullptr;
    work.seen_row = dressed_.row_floats;
    work.seen_first = dressed_.first_floats;
    work.weights = weights_.data() + first * windows_.taps();
    work.bias = bias_.data() + first;
    work.taps_y = windows_.kernel_y;
    work.step_y = windows_.stride_y;
    work.output = buffers[output_] + output_layout_.at(group, 0, 0, first, 0);
    work.output_channel = output_layout_.channel_floats();
    work.output_row = output_layout_.row_floats();
    work.rows = output_layout_.tiling.height;
    work.columns = output_layout_.tiling.width;
    work.finish = finish_of(ending_);
    if (ending_.residual >= 0) {
      const Layout& residual = ending_.residual_layout;
      work.finish.residual = buffers[ending_.residual] + residual.at(group, 0, 0, first, 0);
      work.finish.residual_channel = residual.channel_floats();
      work.finish.residual_row = residual.row_floats();
    }
    if (ending_.activation && !is_activated_behind()) {
      work.function = kernels_.functions[static_cast<int>(ending_.activation->function)];
      work.parameters = ending_.activation->parameters;
    }
    kernels_.depthwise[place_of(kDepthwiseTaps, windows_.kernel_x)][windows_.stride_x - 1][columns_ - 1](work);
    if (is_activated_behind())
      activate(kernels_, *ending_.activation, work.output, places_.data(), static_cast<Size>(places_.size()),
               channels.count() * multiplier_, work.output_channel);
    const Size last = channels.end * multiplier_;
    for (Size next = first; averages_ && next < last; next += Averages::kChannels)
      averages_->put(buffers[output_], group, {next, std::min(next + Averages::kChannels, last)},
                     buffers[ending_.average]);
  }

  const Kernels& kernels_;
  Windows windows_;
  Size multiplier_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  std::optional<Averages> averages_;
  DressedTile dressed_;
  std::vector<float> weights_, bias_;
  std::vector<Range> parts_;
  Size columns_ = 0;                    // that are computed together
  std::vector<std::ptrdiff_t> places_;  // of an output's vectors
};

}  // namespace

bool is_depthwise(const Convolution& convolution, const Layout& output) {
  return convolution.groups > 1 && convolution.inputs() == convolution.taps() && output.image.depth == 1 &&
         output.tiling.depth == 1 && convolution.kernel_z == 1 && convolution.pad_front == 0 &&
         convolution.dilation_y == 1 && convolution.dilation_x == 1 && convolution.stride_x <= kMostDepthwiseStep &&
         place_of(kDepthwiseTaps, convolution.kernel_x) >= 0;
}

bool is_copied(const Convolution& convolution, const Tiling& input, const Tiling& output) {
  const Halo around = convolution.around(input, output);
  const Size vectors = (around.above + input.height + around.below) * (around.left + input.width + around.right);
  return convolution.stride_y * convolution.stride_x == 1 && vectors * kVectorBytes <= kScratchBytes;
}

double depthwise_convolution_cycles(const Convolution& convolution, const Layout& output) {
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors() * convolution.outputs());
  return vectors * (static_cast<double>(convolution.taps()) + kCyclesPerSum);
}

std::unique_ptr<Step> make_depthwise_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                                 const Layout& input_layout, int output, const Layout& output_layout,
                                                 const Ending& ending, Dressing dressing, int threads) {
  return std::make_unique<DepthwiseConvolution>(kernels, convolution, input, input_layout, output, output_layout,
                                                ending, dressing, threads);
}

}  // namespace netsurgery
