#include "lanes/dense_convolution.hpp"

#include <algorithm>
#include <limits>

#include "lanes/pieces.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr Size kFloat = sizeof(float);
// A panel's inputs stay in the first cache while the weights of a chunk of output channels, which stay in the second,
// go by; the panels of a piece of work share what came from farther away.
constexpr Size kPanelBytes = 32 * 1024;   // inputs of the vectors that kernels take at once
constexpr Size kMostInputs = 256;         // of a block
constexpr Size kChunkBytes = 128 * 1024;  // weights
constexpr Size kPieceVectors = 16;        // about
constexpr double kCyclesPerPacked = 2.2;  // of a vector
constexpr double kCyclesPerSum = 3;       // the same

class DenseConvolution final : public Step {
 public:
  DenseConvolution(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                   int output, const Layout& output_layout, const Ending& ending, int threads)
      : kernels_(kernels),
        convolution_(convolution),
        all_outputs_(convolution.outputs()),
        all_inputs_(convolution.inputs()),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending) {
    bias_ = convolution.biases();
    const Size vectors = std::min<Size>(kernels.dense_vectors, output_layout.tiling.vectors());
    inputs_ = parts(all_inputs_, std::min(kMostInputs, kPanelBytes / (vectors * kVectorBytes)));
    blocks_ = parts(outputs_of_group(), kernels.dense_channels);
    for (const Range& block : blocks_) first_.push_back(block.begin);
    first_.push_back(outputs_of_group());
    const Cuts cuts = best_cuts(threads);
    place(cuts.rows);
    pack();
    const Size blocks = static_cast<Size>(blocks_.size()) * convolution.groups;
    outputs_ = equal_parts(blocks, cuts.outputs);
    convolution_.weight = convolution_.bias = nullptr;  // everything is packed
  }

  /// Rows of tiles times parts of the outputs. Vectors of a row stay together: theirs are neighbouring cache lines,
  /// which processors fetch in pairs and runs, so that two threads would take them from each other all the time.
  Size pieces() const override { return output_layout_.groups() * static_cast<Size>(rows_.size()) * readers(); }
  Size readers() const override { return static_cast<Size>(outputs_.size()); }

  Size scratch() const override { return widest_panel_ * most_inputs() * kVector; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size rows = static_cast<Size>(rows_.size()), parts = static_cast<Size>(outputs_.size());
    for (Size piece = begin; piece < end; ++piece) {
      const Range& outputs = outputs_[static_cast<std::size_t>(piece % parts)];
      const Rows& some = rows_[static_cast<std::size_t>(piece / parts % rows)];
      const Size group = piece / parts / rows;
      const Size per_group = static_cast<Size>(blocks_.size());
      for (Size g = outputs.begin / per_group; g * per_group < outputs.end; ++g) {
        const Range blocks{std::max(outputs.begin - g * per_group, Size{0}),
                           std::min(outputs.end - g * per_group, per_group)};
        for (const Range& panels : some.panels) multiply(buffers, group, g, panels, blocks, scratch);
      }
    }
  }

 private:
  static constexpr Size kVectorBytes = kVector * kFloat;

  /// Some rows of a tile, as runs of strips that are packed together.
  struct Rows {
    std::vector<Range> panels;
  };

  Size outputs_of_group() const { return all_outputs_ / convolution_.groups; }
  Size channels_of_group() const { return input_layout_.image.channels / convolution_.groups; }
  Size most_inputs() const {
    Size most = 0;
    for (const Range& block : inputs_) most = std::max(most, block.count());
    return most;
  }

  /// Rows of a tile and blocks of outputs, in so many parts each.
  struct Cuts {
    Size rows, outputs;
  };

  /// What takes threads the least time: fewer parts read less twice, more give every thread as much. Outputs are cut
  /// between blocks.
  Cuts best_cuts(int threads) const {
    constexpr double kCyclesPerWeight = 0.125;  // from the second cache
    constexpr double kFair = 1.03;
    constexpr Size kMostParts = 8;
    const Tiling& tiling = output_layout_.tiling;
    const double outputs = static_cast<double>(outputs_of_group());
    const Size fewest = ceil_divided(tiling.rows(), std::max<Size>(1, kPieceVectors / tiling.width));
    const Size blocks = static_cast<Size>(blocks_.size()) * convolution_.groups;
    Cuts best{fewest, 1};
    double least = std::numeric_limits<double>::infinity();
    for (Size rows = fewest; rows <= tiling.rows(); ++rows) {
      const std::vector<Range> pieces = equal_parts(tiling.rows(), rows);
      const double weights_read = static_cast<double>(rows) / static_cast<double>(tiling.vectors());
      for (Size parts = 1; parts <= std::min(blocks, kMostParts); ++parts) {
        const double longer = unevenness(pieces, output_layout_.groups() * parts, threads);
        const double cycles = longer * (outputs * (kernels_.dense_cycles + kCyclesPerWeight * weights_read) +
                                        static_cast<double>(parts) * kCyclesPerPacked);
        if (cycles < least) {
          best = {rows, parts};
          least = cycles;
        }
        if (longer > kFair) continue;
        if (parts == 1) return best;
        break;
      }
    }
    return best;
  }

  /// Where windows, outputs and residuals of a tile's vectors lie, row by row, and which of them are worked on
  /// together: some rows, in so many parts.
  void place(Size parts_of_rows) {
    const Tiling& tiling = output_layout_.tiling;
    for (Size row = 0; row < tiling.rows(); ++row)
      for (Size x = 0; x < tiling.width; ++x) {
        input_places_.push_back(convolution_.begin(input_layout_, 0, row / tiling.height, row % tiling.height, x));
        output_places_.push_back(output_layout_.at_row(0, row, 0, x));
        if (ending_.residual >= 0) residual_places_.push_back(ending_.residual_layout.at_row(0, row, 0, x));
      }
    for (const Range& rows : equal_parts(tiling.rows(), parts_of_rows)) {
      Rows made;
      for (const Range& panel : parts(rows.count() * tiling.width, kPieceVectors)) {
        const Size begin = rows.begin * tiling.width + panel.begin, first = static_cast<Size>(strips_.size());
        for (const Range& strip : parts(panel.count(), kernels_.dense_vectors))
          strips_.push_back({begin + strip.begin, begin + strip.end});
        made.panels.push_back({first, static_cast<Size>(strips_.size())});
        widest_panel_ = std::max(widest_panel_, panel.count());
      }
      rows_.push_back(std::move(made));
    }
  }

  /// Weights as [group][block of inputs][block of outputs][input][output].
  void pack() {
    for (Size column = 0; column < all_inputs_; ++column)
      offsets_.push_back(static_cast<std::uint32_t>(input_offset(convolution_, input_layout_, column) * kFloat));
    const DenseEntries weight(*convolution_.weight);
    weights_.reserve(weight.all().size());
    for (Size group = 0; group < convolution_.groups; ++group)
      for (const Range& inputs : inputs_)
        for (const Range& block : blocks_)
          for (Size column = inputs.begin; column < inputs.end; ++column)
            for (Size output = block.begin; output < block.end; ++output)
              weights_.push_back(weight[(group * outputs_of_group() + output) * all_inputs_ + column]);
  }

  /// Of a group of the convolution: some blocks of its outputs, and the vectors of some strips.
  void multiply(Buffers buffers, Size group, Size of, const Range& strips, const Range& blocks, float* scratch) const {
    const float* input = buffers[input_] + group * input_layout_.group_floats() +
                         of * channels_of_group() * input_layout_.channel_floats();
    const Size first_output = of * outputs_of_group();
    DensePanel panel{};
    panel.output =
        buffers[output_] + group * output_layout_.group_floats() + first_output * output_layout_.channel_floats();
    panel.output_channel = output_layout_.channel_floats();
    panel.finish = finish_of(ending_, buffers, group, first_output);
    const Size begin = strips_[static_cast<std::size_t>(strips.begin)].begin;
    for (const Range& inputs : inputs_) {
      panel.inputs = inputs.count();
      panel.bias = inputs.begin == 0 ? bias_.data() + first_output : nullptr;
      panel.last = inputs.end == all_inputs_;
      const float* weights = weights_.data() + (of * all_inputs_ + inputs.begin) * outputs_of_group();
      const Size chunk = std::max<Size>(1, kChunkBytes / (inputs.count() * kernels_.dense_channels * kFloat));
      for (Size b = blocks.begin; b < blocks.end; b += chunk) {
        panel.source = b == blocks.begin && !convolution_.scaling ? input : nullptr;
        panel.offsets = offsets_.data() + inputs.begin;
        panel.first = first_.data() + b;
        panel.blocks = std::min(chunk, blocks.end - b);
        panel.weights = weights + first_[static_cast<std::size_t>(b)] * inputs.count();
        panel.next =
            panel.weights +
            (first_[static_cast<std::size_t>(b + panel.blocks)] - first_[static_cast<std::size_t>(b)]) * inputs.count();
        for (Size s = strips.begin; s < strips.end; ++s) {
          const Range& strip = strips_[static_cast<std::size_t>(s)];
          // With the last strip comes what the next chunk, or the next block of inputs, begins with.
          panel.next_floats =
              s + 1 < strips.end ? 0 : std::min(kChunkBytes / kFloat, weights_.data() + weights_.size() - panel.next);
          panel.input = panel.packed = scratch + (strip.begin - begin) * inputs.count() * kVector;
          panel.source_places = input_places_.data() + strip.begin;
          panel.places = output_places_.data() + strip.begin;
          panel.residual_places = residual_places_.data() + strip.begin;
          if (convolution_.scaling && b == blocks.begin) scale(buffers, group, input, inputs, strip, panel.packed);
          kernels_.dense[strip.count() - 1](panel);
        }
        if (panel.last && ending_.activation) {
          const Size first = first_[static_cast<std::size_t>(b)];
          activate(kernels_, *ending_.activation, panel.output + first * panel.output_channel,
                   output_places_.data() + begin, strips_[static_cast<std::size_t>(strips.end - 1)].end - begin,
                   first_[static_cast<std::size_t>(b + panel.blocks)] - first, panel.output_channel);
        }
      }
    }
  }

  /// The inputs of a strip, scaled, as kernels pack those that aren't: of each, the strip's vectors.
  void scale(Buffers buffers, Size group, const float* input, const Range& inputs, const Range& strip,
             float* packed) const {
    const Size channel = input_layout_.channel_floats(), width = output_layout_.tiling.width;
    for (Size v = strip.begin, end; v < strip.end; v = end) {
      end = std::min(strip.end, (v / width + 1) * width);  // of the same row
      scale_row(kernels_, *convolution_.scaling, buffers,
                {group, inputs.begin, inputs.count(),
                 input + input_places_[static_cast<std::size_t>(v)] + inputs.begin * channel,
                 packed + (v - strip.begin) * kVector, channel, strip.count() * kVector, (end - v) * kVector});
    }
  }

  const Kernels& kernels_;
  Convolution convolution_;
  Size all_outputs_, all_inputs_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  std::vector<float> bias_;
  std::vector<Range> inputs_, blocks_;                                          // of a group
  std::vector<std::ptrdiff_t> first_;                                           // output of each block, and the end
  std::vector<std::ptrdiff_t> input_places_, output_places_, residual_places_;  // of each vector of a tile
  std::vector<Range> strips_;                                                   // vectors that kernels take at once
  std::vector<Rows> rows_;
  Size widest_panel_ = 0;               // vectors
  std::vector<Range> outputs_;          // blocks of all groups, in parts
  std::vector<std::uint32_t> offsets_;  // bytes, from a window's first input to each
  std::vector<float> weights_;
};

}  // namespace

double dense_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors());
  const double outputs = static_cast<double>(convolution.outputs()), inputs = static_cast<double>(convolution.inputs());
  const double packed = static_cast<double>(convolution.groups) * inputs * kCyclesPerPacked;
  return vectors * (outputs * inputs * kernels.dense_cycles + outputs * kCyclesPerSum + packed);
}

std::unique_ptr<Step> make_dense_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                             const Layout& input_layout, int output, const Layout& output_layout,
                                             const Ending& ending, int threads) {
  return std::make_unique<DenseConvolution>(kernels, convolution, input, input_layout, output, output_layout, ending,
                                            threads);
}

}  // namespace netsurgery
