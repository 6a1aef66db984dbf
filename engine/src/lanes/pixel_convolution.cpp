#include "lanes/pixel_convolution.hpp"

#include <algorithm>
#include <limits>

#include "lanes/pieces.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr Size kFloat = sizeof(float);
constexpr Size kMostPixels = 512;         // of the lanes of a tile
constexpr Size kWeightBytes = 32 * 1024;  // of a strip of channels and a block of inputs: about the first cache
constexpr Size kPixelBytes = 128 * 1024;  // of a block of inputs
constexpr Size kSumBytes = 256 * 1024;    // of a piece
constexpr Size kMostInputs = 256;         // of a block
constexpr double kOfDense = 1.1;          // a multiply-add beside one of vectors of pixels: weights come from far away
constexpr double kCyclesPerPacked = 3;    // of a vector of lanes
constexpr double kCyclesPerFinished = 8;  // the same

/// Pixels of a tile in all lanes.
Size pixels_of(const Layout& layout) {
  const Image& image = layout.image;
  const Tiling& tiling = layout.tiling;
  const auto covered = [](Size tiles, Size tile, Size size) { return std::min(tiles * tile, size); };
  return tiling.images * covered(tiling.tiles_z, tiling.depth, image.depth) *
         covered(tiling.tiles_y, tiling.height, image.height) * covered(tiling.tiles_x, tiling.width, image.width);
}

struct alignas(kAlignment) Channels {
  float of[kVector];
};

class PixelConvolution final : public Step {
 public:
  PixelConvolution(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                   int output, const Layout& output_layout, const Ending& ending, int threads)
      : kernels_(kernels),
        convolution_(convolution),
        all_inputs_(convolution.inputs()),
        outputs_of_group_(convolution.outputs() / convolution.groups),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending) {
    bias_ = convolution.biases();
    place();
    const Size vectors = ceil_divided(outputs_of_group_, kVector);  // of channels
    strips_ = shared_parts(vectors, kernels.dense_vectors, output_layout.groups() * convolution.groups, threads);
    const Size widest = strips_.back().count() * kVector * kFloat;
    inputs_ =
        parts(all_inputs_,
              std::min({kMostInputs, kWeightBytes / widest, std::max<Size>(1, kPixelBytes / (pixels_ * kFloat))}));
    pack();
    cut(threads);
    convolution_.weight = convolution_.bias = nullptr;  // everything is packed
  }

  /// Groups of lanes, groups of channels, parts of their outputs.
  Size pieces() const override { return output_layout_.groups() * convolution_.groups * readers(); }
  Size readers() const override { return static_cast<Size>(pieces_.size()); }

  Size scratch() const override {
    return panel_floats() + pixels_ * most_channels_ + static_cast<Size>(scaled_offsets_.size()) * kVector;
  }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size parts = static_cast<Size>(pieces_.size());
    for (Size piece = begin; piece < end; ++piece)
      multiply(buffers, piece / parts / convolution_.groups, piece / parts % convolution_.groups,
               pieces_[static_cast<std::size_t>(piece % parts)], scratch);
  }

 private:
  Size most_inputs() const {
    Size most = 0;
    for (const Range& block : inputs_) most = std::max(most, block.count());
    return most;
  }
  Size panel_floats() const { return ceil_divided(most_inputs() * pixels_ + kVector, kVector) * kVector; }

  Size channels_of_group() const { return input_layout_.image.channels / convolution_.groups; }

  /// The lanes that are pixels, of the vectors of a tile row by row; where their windows and their outputs lie.
  void place() {
    const Tiling& tiling = output_layout_.tiling;
    for (Size row = 0; row < tiling.rows(); ++row)
      for (Size x = 0; x < tiling.width; ++x) {
        const Size z = row / tiling.height, y = row % tiling.height;
        PixelLanes made{};
        const Size first = pixels_;
        for (int lane = 0; lane < static_cast<int>(kVector); ++lane) {
          const bool inside = output_layout_.is_pixel(lane, z, y, x);
          made.pixel[lane] = inside ? static_cast<std::int32_t>(pixels_) : -1;
          if (!inside) continue;
          made.lane[made.count++] = lane;
          if (lane < static_cast<int>(kVector / 2)) made.half[1] = made.count;
          ++pixels_;
        }
        if (made.count == 0) continue;
        std::vector<std::ptrdiff_t> blocks;
        for (const Range& block : parts(made.count, kernels_.dense_channels)) blocks.push_back(first + block.begin);
        blocks.push_back(pixels_);
        blocks_.push_back(std::move(blocks));
        made.place = output_layout_.at(0, z, y, 0, x);
        outputs_.push_back(made);
        output_places_.push_back(made.place);
        made.place = convolution_.begin(input_layout_, 0, z, y, x);
        windows_.push_back(made);
        if (ending_.residual >= 0) residual_places_.push_back(ending_.residual_layout.at(0, z, y, 0, x));
      }
    zeros_.assign(static_cast<std::size_t>(pixels_), 0.0f);
  }

  /// Weights as [group][strip][input][channel], with zeros for channels that fill the last vector.
  void pack() {
    for (Size column = 0; column < all_inputs_; ++column)
      offsets_.push_back(static_cast<std::uint32_t>(input_offset(convolution_, input_layout_, column) * kFloat));
    if (convolution_.scaling)
      for (Size input = 0; input < most_inputs(); ++input)
        scaled_offsets_.push_back(static_cast<std::uint32_t>(input * kVector * kFloat));
    const DenseEntries weight(*convolution_.weight);
    for (Size group = 0; group < convolution_.groups; ++group)
      for (const Range& strip : strips_)
        for (Size column = 0; column < all_inputs_; ++column)
          for (Size vector = strip.begin; vector < strip.end; ++vector) {
            Channels channels{};
            for (Size i = 0; i < std::min(kVector, outputs_of_group_ - vector * kVector); ++i)
              channels.of[i] = weight[(group * outputs_of_group_ + vector * kVector + i) * all_inputs_ + column];
            weights_.push_back(channels);
          }
  }

  /// Pieces of whole strips, as few as threads and the second cache allow: each packs all pixels again.
  void cut(int threads) {
    const Size strips = static_cast<Size>(strips_.size());
    const Size channels = strips_.back().end * kVector;
    const Size by_cache = ceil_divided(pixels_ * channels * kFloat, kSumBytes);
    const Size count = output_parts(output_layout_.groups() * convolution_.groups, strips, threads, by_cache);
    for (Size i = 0; i < count; ++i) {
      pieces_.push_back({strips * i / count, strips * (i + 1) / count});
      most_channels_ = std::max(most_channels_, channels_of(pieces_.back()));
    }
  }

  Size first_channel(const Range& strips) const {
    return strips_[static_cast<std::size_t>(strips.begin)].begin * kVector;
  }
  Size channels_of(const Range& strips) const {
    return strips_[static_cast<std::size_t>(strips.end - 1)].end * kVector - first_channel(strips);
  }

  const float* weights_of(Size group, Size strip, const Range& inputs) const {
    const Range& vectors = strips_[static_cast<std::size_t>(strip)];
    return weights_[static_cast<std::size_t>((group * strips_.back().end + vectors.begin) * all_inputs_ +
                                             inputs.begin * vectors.count())]
        .of;
  }

  void multiply(Buffers buffers, Size group, Size of, const Range& strips, float* scratch) const {
    float* const sums = scratch + panel_floats();
    const Size first = first_channel(strips), channels = channels_of(strips);
    const float* input = buffers[input_] + group * input_layout_.group_floats() +
                         of * channels_of_group() * input_layout_.channel_floats();
    constexpr std::ptrdiff_t kPlaces[kMostDenseVectors] = {0, kVector, 2 * kVector, 3 * kVector};
    DensePanel panel{};
    panel.places = kPlaces;
    panel.output_channel = channels;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Range& inputs = inputs_[i];
      // Pixels of each vector by themselves, so that those of a block lie near each other: [vector][input][pixel].
      for (std::size_t v = 0; v < windows_.size(); ++v) {
        const PixelLanes* window = &windows_[v];
        PixelLanes of_scaled;
        const float* seen = input;
        const std::uint32_t* offsets = offsets_.data() + inputs.begin;
        if (convolution_.scaling) {
          float* const scaled = sums + pixels_ * most_channels_;
          const Size channel = input_layout_.channel_floats();
          scale_row(kernels_, *convolution_.scaling, buffers,
                    {group, inputs.begin, inputs.count(), input + window->place + inputs.begin * channel, scaled,
                     channel, kVector, kVector});
          seen = scaled;
          offsets = scaled_offsets_.data();
          of_scaled = *window;
          of_scaled.place = 0;
          window = &of_scaled;
        }
        kernels_.pack_pixels(
            {seen, window, 1, offsets, inputs.count(), scratch + blocks_[v].front() * inputs.count(), window->count});
      }
      panel.inputs = inputs.count();
      panel.bias = inputs.begin == 0 ? zeros_.data() : nullptr;
      for (Size s = strips.begin; s < strips.end; ++s) {
        panel.input = weights_of(of, s, inputs);
        const bool goes_on = s + 1 < strips.end;
        const Size next = goes_on ? s + 1 : strips.begin;
        const Range& then = goes_on ? inputs : inputs_[std::min(i + 1, inputs_.size() - 1)];
        const float* const next_weights = weights_of(of, next, then);
        const Size next_floats = then.count() * strips_[static_cast<std::size_t>(next)].count() * kVector;
        const Range& strip = strips_[static_cast<std::size_t>(s)];
        panel.output = sums + strip.begin * kVector - first;
        const Size vectors = static_cast<Size>(windows_.size());
        for (Size v = 0; v < vectors; ++v) {
          const std::vector<std::ptrdiff_t>& blocks = blocks_[static_cast<std::size_t>(v)];
          panel.first = blocks.data();
          panel.blocks = static_cast<std::ptrdiff_t>(blocks.size()) - 1;
          panel.weights = scratch + blocks.front() * inputs.count();
          panel.weight_step = blocks.back() - blocks.front();
          panel.next = next_weights + next_floats * v / vectors;
          panel.next_floats = next_floats * (v + 1) / vectors - next_floats * v / vectors;
          kernels_.dense[strip.count() - 1](panel);
        }
      }
    }
    const Size first_output = of * outputs_of_group_ + first;
    PixelSums finished{};
    finished.sums = sums;
    finished.row = channels;
    finished.vectors = outputs_.data();
    finished.count = static_cast<std::ptrdiff_t>(outputs_.size());
    finished.channels = std::min(channels, outputs_of_group_ - first);
    finished.bias = bias_.data() + first_output;
    finished.output =
        buffers[output_] + group * output_layout_.group_floats() + first_output * output_layout_.channel_floats();
    finished.output_channel = output_layout_.channel_floats();
    finished.finish = finish_of(ending_, buffers, group, first_output);
    finished.residual_places = residual_places_.data();
    kernels_.finish_pixels(finished);
    if (ending_.activation)
      activate(kernels_, *ending_.activation, finished.output, output_places_.data(),
               static_cast<Size>(output_places_.size()), finished.channels, finished.output_channel);
  }

  const Kernels& kernels_;
  Convolution convolution_;
  Size all_inputs_, outputs_of_group_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  std::vector<float> bias_, zeros_;
  Size pixels_ = 0;
  std::vector<PixelLanes> windows_, outputs_;  // of a tile
  std::vector<std::ptrdiff_t> output_places_, residual_places_;
  std::vector<std::vector<std::ptrdiff_t>> blocks_;  // of each vector: pixels of its blocks, and the end
  std::vector<Range> inputs_, strips_;               // of a group; strips in vectors of channels
  std::vector<Range> pieces_;                        // of strips
  Size most_channels_ = 0;                           // of a piece
  std::vector<std::uint32_t> offsets_;               // bytes, from a window's first input to each
  std::vector<std::uint32_t> scaled_offsets_;        // the same of a vector's inputs, scaled
  std::vector<Channels> weights_;
};

}  // namespace

double pixel_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  const Size pixels = pixels_of(output);
  if (pixels > kMostPixels) return std::numeric_limits<double>::infinity();
  const double inputs = static_cast<double>(convolution.inputs()), groups = static_cast<double>(convolution.groups);
  const double outputs = static_cast<double>(ceil_divided(convolution.outputs() / convolution.groups, kVector));
  const double vectors = static_cast<double>(output.tiling.vectors());
  const double sums = static_cast<double>(pixels) * outputs * inputs * kernels.dense_cycles * kOfDense;
  return static_cast<double>(output.groups()) * groups *
         (sums + vectors * inputs * kCyclesPerPacked + vectors * outputs * kVector * kCyclesPerFinished);
}

std::unique_ptr<Step> make_pixel_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                             const Layout& input_layout, int output, const Layout& output_layout,
                                             const Ending& ending, int threads) {
  return std::make_unique<PixelConvolution>(kernels, convolution, input, input_layout, output, output_layout, ending,
                                            threads);
}

}  // namespace netsurgery
