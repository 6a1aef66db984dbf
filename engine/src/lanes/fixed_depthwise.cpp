#include "lanes/fixed_depthwise.hpp"

#include <algorithm>
#include <iterator>

#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerTap = 2.5, kCyclesPerFinished = 10;  // of a vector

std::int16_t* shorts(float* memory) { return reinterpret_cast<std::int16_t*>(memory); }

/// The place of a row's taps among those that have kernels, or -1.
int place_of_taps(Size taps) {
  const auto found = std::find(std::begin(kDepthwiseTaps), std::end(kDepthwiseTaps), taps);
  return found == std::end(kDepthwiseTaps) ? -1 : static_cast<int>(found - std::begin(kDepthwiseTaps));
}

/// Pieces: rows of tiles in all groups.
class FixedDepthwiseStep final : public Step {
 public:
  FixedDepthwiseStep(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                     int output, const Layout& output_layout, const FixedEnding& ending)
      : kernels_(kernels),
        windows_(convolution),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        weights_(convolution.weight->dense()),
        columns_(parts(output_layout.tiling.width, std::min<Size>(kernels.most_vectors, kMostStripColumns))) {}

  Size pieces() const override { return output_layout_.groups() * output_layout_.tiling.height; }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const auto& kernels = kernels_.fixed_depthwise[place_of_taps(windows_.kernel_x)][windows_.stride_x - 1];
    FixedDepthwise work{};
    work.input_row = kShortsPerFloat * windows_.dilation_y * input_layout_.row_floats();
    work.input_channel = kShortsPerFloat * input_layout_.channel_floats();
    work.output_channel = kShortsPerFloat * output_layout_.channel_floats();
    work.channels = output_layout_.image.channels;
    work.weights = weights_.data();
    work.taps_y = windows_.kernel_y;
    work.finish.scale = ending_.scale.data();
    work.finish.shift = ending_.shift.data();
    work.finish.low = ending_.low;
    work.finish.high = ending_.high;
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / output_layout_.tiling.height, y = piece % output_layout_.tiling.height;
      for (const Range& columns : columns_) {
        work.input = shorts(buffers[input_] + windows_.begin(input_layout_, group, 0, y, columns.begin));
        work.output = shorts(buffers[output_] + output_layout_.at(group, 0, y, 0, columns.begin));
        kernels[columns.count() - 1](work);
      }
    }
  }

 private:
  const Kernels& kernels_;
  Windows windows_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  FixedEnding ending_;
  std::vector<float> weights_;
  std::vector<Range> columns_;
};

}  // namespace

bool is_fixed_depthwise(const Convolution& convolution, const Image& input) {
  return input.depth == 1 && convolution.kernel_z == 1 && convolution.groups == input.channels &&
         convolution.groups > 1 && convolution.outputs() == input.channels && convolution.dilation_x == 1 &&
         convolution.stride_x <= kMostDepthwiseStep && place_of_taps(convolution.kernel_x) >= 0;
}

double fixed_depthwise_cycles(const Convolution& convolution, const Layout& output) {
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors() * output.image.channels);
  return vectors * (kCyclesPerTap * static_cast<double>(convolution.taps()) + kCyclesPerFinished);
}

std::unique_ptr<Step> make_fixed_depthwise(const Kernels& kernels, const Convolution& convolution, int input,
                                           const Layout& input_layout, int output, const Layout& output_layout,
                                           const FixedEnding& ending) {
  return std::make_unique<FixedDepthwiseStep>(kernels, convolution, input, input_layout, output, output_layout, ending);
}

}  // namespace netsurgery
