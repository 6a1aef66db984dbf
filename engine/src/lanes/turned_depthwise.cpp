#include "lanes/turned_depthwise.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "lanes/aligned.hpp"
#include "lanes/depthwise_convolution.hpp"
#include "lanes/pooling.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr Size kFewestChannels = 8;
constexpr Size kScratchBytes = 256 * 1024;  // more than that leaves the second cache
constexpr double kCyclesAround = 8;         // for a vector that lies around a tile, where channels aren't turned

/// Pictures as windows see them, zeros around the pixels and all, and the sums of windows; floats.
struct Pictures {
  Size count, rows, columns;
  Size sums;

  Pictures(const Convolution& convolution, const Layout& input, const Image& output)
      : count(input.tiling.images),
        rows((output.height - 1) * convolution.stride_y + convolution.kernel_y),
        columns((output.width - 1) * convolution.stride_x + convolution.kernel_x),
        sums(output.height * output.width * kVector) {}

  Size row() const { return columns * kVector; }
  Size picture() const { return rows * row(); }
  Size outside() const { return count * picture(); }  // where pixels are put that no window sees
  Size seen() const { return outside() + kVector; }
  Size floats() const { return seen() + count * sums; }
};

/// Pieces: up to 16 channels of a group of lanes each.
class TurnedDepthwise final : public Step {
 public:
  TurnedDepthwise(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                  int output, const Layout& output_layout, const Ending& ending)
      : kernels_(kernels),
        windows_(convolution),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        pictures_(convolution, input_layout, output_layout.image),
        channels_(ceil_divided(convolution.outputs(), kVector)) {
    if (ending.average >= 0) averages_.emplace(kernels, output_layout);
    const Size width = output_layout.image.width;
    columns_ = ceil_divided(width, ceil_divided(width, kMostDepthwiseColumns));
    lay_out_weights(convolution);
    const Size above = convolution.pad_above, left = convolution.pad_left;
    seen_ = vectors(input_layout, static_cast<std::int32_t>(pictures_.outside()), [&](Size image, Size y, Size x) {
      const bool seen = y + above < pictures_.rows && x + left < pictures_.columns;
      return seen ? image * pictures_.picture() + (y + above) * pictures_.row() + (x + left) * kVector : Size{-1};
    });
    made_ = vectors(output_layout, 0, [&](Size image, Size y, Size x) {
      return image * pictures_.sums + (y * output_layout.image.width + x) * kVector;
    });
  }

  Size pieces() const override { return output_layout_.groups() * channels_; }
  Size scratch() const override { return pictures_.floats(); }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    std::fill(scratch, scratch + pictures_.seen(), 0.0f);
    for (Size piece = begin; piece < end; ++piece) some(buffers, piece / channels_, piece % channels_, scratch);
  }

 private:
  void some(Buffers buffers, Size group, Size piece, float* scratch) const {
    const Size first = piece * kVector, last = std::min(first + kVector, output_layout_.image.channels);
    TurnedChannels work{};
    work.input = buffers[input_] + input_layout_.at(group, 0, 0, first, 0);
    work.input_channel = input_layout_.channel_floats();
    work.channels = last - first;
    work.input_vectors = seen_.data();
    work.input_vectors_count = static_cast<std::ptrdiff_t>(seen_.size());
    work.pictures = scratch;
    work.pictures_count = pictures_.count;
    work.picture = pictures_.picture();
    work.picture_row = pictures_.row();
    work.pad_above = windows_.pad_above;
    work.height = input_layout_.image.height;
    work.weights = weights_.data() + first * windows_.taps();
    work.bias = bias_.data() + first;
    work.taps_y = windows_.kernel_y;
    work.step_y = windows_.stride_y;
    work.sums = scratch + pictures_.seen();
    work.rows = output_layout_.image.height;
    work.columns = output_layout_.image.width;
    work.finish = finish_of(ending_);
    if (ending_.activation) {
      work.function = kernels_.functions[static_cast<int>(ending_.activation->function)];
      work.parameters = ending_.activation->parameters;
    }
    work.output = buffers[output_] + output_layout_.at(group, 0, 0, first, 0);
    work.output_channel = output_layout_.channel_floats();
    work.output_vectors = made_.data();
    work.output_vectors_count = static_cast<std::ptrdiff_t>(made_.size());
    const auto& kernels = kernels_.turned_depthwise[place_of(kDepthwiseTaps, windows_.kernel_x)];
    kernels[windows_.stride_x - 1][columns_ - kFewestTurnedColumns](work);
    if (averages_) averages_->put(buffers[output_], group, {first, last}, buffers[ending_.average]);
  }

  /// The vectors of a channel's tile: place(image, y, x) of each pixel, `outside` where there is none or it is
  /// negative.
  template <class Place>
  static std::vector<TurnedVector> vectors(const Layout& layout, std::int32_t outside, Place&& place) {
    std::vector<TurnedVector> result;
    for (Size y = 0; y < layout.tiling.height; ++y)
      for (Size x = 0; x < layout.tiling.width; ++x) {
        TurnedVector& vector = result.emplace_back();
        vector.place = layout.at(0, 0, y, 0, x) - layout.at(0, 0, 0, 0, 0);
        for (Size lane = 0; lane < kVector; ++lane) {
          const bool inside = lane < layout.tiling.lanes() && layout.is_pixel(lane, 0, y, x);
          const Size found =
              inside ? place(layout.lane_image(lane), layout.lane_y(lane) + y, layout.lane_x(lane) + x) : -1;
          vector.pixel[lane] = found < 0 ? outside : static_cast<std::int32_t>(found);
        }
      }
    return result;
  }

  /// [16 channels][tap][channel], and biases; 0 for channels that there are not.
  void lay_out_weights(const Convolution& convolution) {
    const Size taps = convolution.taps();
    const std::vector<float> weights = convolution.weight->dense();
    bias_.assign(static_cast<std::size_t>(channels_ * kVector), 0.0f);
    weights_.assign(static_cast<std::size_t>(channels_ * kVector * taps), 0.0f);
    const std::vector<float> biases = convolution.biases();
    std::copy(biases.begin(), biases.end(), bias_.begin());
    for (Size c = 0; c < convolution.outputs(); ++c)
      for (Size tap = 0; tap < taps; ++tap)
        weights_[static_cast<std::size_t>((c / kVector * taps + tap) * kVector + c % kVector)] =
            weights[static_cast<std::size_t>(c * taps + tap)];
  }

  const Kernels& kernels_;
  Windows windows_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  Pictures pictures_;
  Size channels_;  // sixteens of them
  std::optional<Averages> averages_;
  AlignedFloats weights_, bias_;
  std::vector<TurnedVector> seen_, made_;
  Size columns_ = 0;  // that are computed together
};

}  // namespace

bool can_be_turned(const Convolution& convolution, const Layout& input, const Layout& output) {
  return convolution.inputs() == convolution.taps() && convolution.outputs() == convolution.groups &&
         output.image.width >= kFewestTurnedColumns &&
         Pictures(convolution, input, output.image).floats() * static_cast<Size>(sizeof(float)) <= kScratchBytes;
}

bool is_turned(const Kernels& kernels, const Convolution& convolution, const Layout& input, const Layout& output) {
  if (!can_be_turned(convolution, input, output) || convolution.groups < kFewestChannels) return false;
  const Halo around = convolution.around(input.tiling, output.tiling);
  const Size rows = around.above + input.tiling.height + around.below;
  const Size columns = around.left + input.tiling.width + around.right;
  const Size vectors = output.groups() * convolution.outputs() * (rows * columns - input.tiling.vectors());
  return turned_depthwise_cycles(kernels, convolution, input, output) <
         depthwise_convolution_cycles(convolution, output) + static_cast<double>(vectors) * kCyclesAround;
}

double turned_depthwise_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& input,
                               const Layout& output) {
  const Size products = output.image.height * output.image.width * input.tiling.images * convolution.taps();
  const double turned = static_cast<double>(input.tiling.vectors() + output.tiling.vectors()) * kernels.turning_cycles;
  return static_cast<double>(output.groups() * ceil_divided(convolution.outputs(), kVector)) *
         (static_cast<double>(products) + turned);
}

std::unique_ptr<Step> make_turned_depthwise(const Kernels& kernels, const Convolution& convolution, int input,
                                            const Layout& input_layout, int output, const Layout& output_layout,
                                            const Ending& ending) {
  return std::make_unique<TurnedDepthwise>(kernels, convolution, input, input_layout, output, output_layout, ending);
}

}  // namespace netsurgery
