#include "lanes/winograd_convolution.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "lanes/pieces.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr Size kFloat = sizeof(float);
constexpr Size kSide = 2, kTaps = 3, kSeen = kSide + kTaps - 1;  // of a block: outputs, of a window, inputs
constexpr Size kPositions = kSeen * kSeen;                       // products of a block
constexpr Size kPanelBytes = 16 * 1024;  // transformed inputs that kernels take at once: half of the first cache
constexpr Size kMostInputs = 256;        // of them
constexpr Size kRunVectors = 2;          // of blocks whose sums wait together, about
constexpr Size kChunkOutputs = 96;       // whose sums wait together: with a run's, a part of the second cache
constexpr Size kSharers = 8;             // threads that should find a piece, where maps are small, too
constexpr Size kApart = kVector;         // floats that keep positions out of each other's places in the first cache
constexpr double kCyclesPerInput = 60;   // of a block, to transform it
constexpr double kCyclesPerOutput = 80;  // the same

bool fits(const Convolution& convolution) {
  return convolution.kernel_y == kTaps && convolution.kernel_x == kTaps && convolution.stride_y == 1 &&
         convolution.stride_x == 1 && convolution.dilation_y == 1 && convolution.dilation_x == 1 &&
         !convolution.exact && convolution.weight->form != Constant::Form::kPlanes;
}

/// G g G^T of a window's weights.
std::array<float, kPositions> transformed(const float* weights) {
  const auto column = [](double a, double b, double c, double* to, Size step) {
    to[0] = a;
    to[step] = (a + b + c) / 2;
    to[2 * step] = (a - b + c) / 2;
    to[3 * step] = c;
  };
  std::array<double, kSeen * kTaps> rows{};
  for (Size x = 0; x < kTaps; ++x)
    column(weights[x], weights[kTaps + x], weights[2 * kTaps + x], rows.data() + x, kTaps);
  std::array<double, kPositions> all{};
  for (Size y = 0; y < kSeen; ++y) {
    const double* row = rows.data() + y * kTaps;
    column(row[0], row[1], row[2], all.data() + y * kSeen, 1);
  }
  std::array<float, kPositions> result{};
  std::transform(all.begin(), all.end(), result.begin(), [](double one) { return static_cast<float>(one); });
  return result;
}

/// Some output channels of a group whose sums wait together to be finished.
struct Chunk {
  Size group;
  Range outputs;                       // counted through all groups
  std::vector<std::ptrdiff_t> blocks;  // of outputs whose sums stay in registers: the first ones, and the end, from 0
  Size weights;                        // where they begin
};

/// Where a vector of blocks lies in a tile: its rows and columns of outputs.
struct Block {
  Size slice, y, x;
};

class WinogradConvolution final : public Step {
 public:
  WinogradConvolution(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                      int output, const Layout& output_layout, const Ending& ending, int threads)
      : kernels_(kernels),
        convolution_(convolution),
        weight_(convolution.weight->weak_from_this().lock()),
        inputs_of_group_(input_layout.image.channels / convolution.groups * convolution.kernel_z),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending) {
    bias_ = convolution.biases();
    inputs_ = parts(inputs_of_group_, std::min(kMostInputs, kPanelBytes / (kVector * kFloat)));
    place();
    pack();
    cut(threads);
    convolution_.bias = nullptr;
  }

  /// Rows of blocks, of tiles that lie side by side, times parts of the outputs.
  Size pieces() const override { return output_layout_.groups() * static_cast<Size>(rows_.size()) * readers(); }
  Size readers() const override { return static_cast<Size>(outputs_.size()); }

  Size scratch() const override { return panel_floats() + kRun() * most_outputs_ * kSumsOfOutput; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size rows = static_cast<Size>(rows_.size()), parts = static_cast<Size>(outputs_.size());
    for (Size piece = begin; piece < end; ++piece) {
      const Range& chunks = outputs_[static_cast<std::size_t>(piece % parts)];
      for (const Range& run : rows_[static_cast<std::size_t>(piece / parts % rows)]) {
        Size transformed = -1;  // of which group
        for (Size c = chunks.begin; c < chunks.end; ++c) {
          const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
          if (chunk.group != transformed) transform(buffers, piece / parts / rows, chunk.group, run, scratch);
          transformed = chunk.group;
          multiply(chunk, run, scratch);
          finish(buffers, piece / parts / rows, chunk, run, scratch + panel_floats());
        }
      }
    }
  }

 private:
  static constexpr Size kSumsOfOutput = kPositions * kVector + kApart;

  Size kRun() const { return std::max<Size>(kRunVectors, kernels_.dense_vectors); }
  Size outputs_of_group() const { return convolution_.outputs() / convolution_.groups; }
  /// From one position's inputs to the next one's.
  Size position() const { return kRun() * inputs_of_group_ * kVector + kApart; }
  Size panel_floats() const { return kPositions * position(); }

  /// Blocks of a tile, row by row, and which of them are worked on together.
  void place() {
    const Tiling& tiling = output_layout_.tiling;
    const Size width = ceil_divided(tiling.width, kSide), height = ceil_divided(tiling.height, kSide);
    for (Size z = 0; z < tiling.depth; ++z)
      for (Size y = 0; y < height; ++y)
        for (Size x = 0; x < width; ++x) blocks_.push_back({z, y * kSide, x * kSide});
    for (const Range& some : parts(tiling.depth * height, std::max<Size>(1, kRun() / width))) {
      std::vector<Range> runs;
      for (const Range& run : parts(some.count() * width, kRun()))
        runs.push_back({some.begin * width + run.begin, some.begin * width + run.end});
      rows_.push_back(std::move(runs));
    }
    for (Size i = 0; i < inputs_of_group_; ++i)
      offsets_.push_back(static_cast<std::uint32_t>(input_offset(convolution_, input_layout_, i * kTaps * kTaps) *
                                                    kFloat));  // of a window's first tap
    zeros_.assign(static_cast<std::size_t>(kChunkOutputs), 0.0f);
  }

  /// How many outputs of a group make a chunk: fewer where there are few rows of blocks.
  Size chunk_outputs() const {
    const Size rows = output_layout_.groups() * static_cast<Size>(rows_.size()) * convolution_.groups;
    const Size together = kernels_.dense_channels;
    const Size shared = ceil_divided(outputs_of_group(), ceil_divided(kSharers, rows));
    return std::min(ceil_divided(shared, together) * together, kChunkOutputs);
  }

  /// Transformed weights in the order in which they are read: [chunk][block of inputs][position][block of
  /// outputs][input][output].
  void pack() {
    const DenseEntries weight(*convolution_.weight);
    weights_.resize(static_cast<std::size_t>(convolution_.outputs() * inputs_of_group_ * kPositions));
    Size begin = 0;
    const std::vector<Range> chunks = parts(outputs_of_group(), chunk_outputs());
    for (Size group = 0; group < convolution_.groups; ++group)
      for (const Range& some : chunks) {
        Chunk chunk{group, {group * outputs_of_group() + some.begin, group * outputs_of_group() + some.end}, {}, begin};
        for (const Range& block : parts(some.count(), kernels_.dense_channels)) chunk.blocks.push_back(block.begin);
        chunk.blocks.push_back(some.count());
        most_outputs_ = std::max(most_outputs_, some.count());
        for (const Range& inputs : inputs_) {
          const Size of_position = some.count() * inputs.count();
          for (std::size_t b = 0; b + 1 < chunk.blocks.size(); ++b) {
            const Size first = chunk.blocks[b], count = chunk.blocks[b + 1] - first;
            for (Size i = 0; i < inputs.count(); ++i)
              for (Size o = 0; o < count; ++o) {
                const Size row = chunk.outputs.begin + first + o, column = (inputs.begin + i) * kTaps * kTaps;
                const auto made = transformed(weight.all().data() + row * convolution_.inputs() + column);
                for (Size p = 0; p < kPositions; ++p)
                  weights_[static_cast<std::size_t>(begin + p * of_position + first * inputs.count() + i * count + o)] =
                      made[static_cast<std::size_t>(p)];
              }
          }
          begin += kPositions * of_position;
        }
        chunks_.push_back(std::move(chunk));
      }
  }

  /// Outputs are cut between chunks, so that what is summed up once more doesn't depend on the number of threads.
  void cut(int threads) {
    const Size chunks = static_cast<Size>(chunks_.size());
    const Size count = output_parts(output_layout_.groups() * static_cast<Size>(rows_.size()), chunks, threads);
    for (Size i = 0; i < count; ++i) outputs_.push_back({chunks * i / count, chunks * (i + 1) / count});
  }

  /// The inputs of a run, as [position][vectors that kernels take at once][input][vector].
  void transform(Buffers buffers, Size group, Size of, const Range& run, float* panel) const {
    const Tiling& tiling = output_layout_.tiling;
    WinogradInputs work{};
    work.input = buffers[input_] + group * input_layout_.group_floats() +
                 of * (input_layout_.image.channels / convolution_.groups) * input_layout_.channel_floats();
    work.offsets = offsets_.data();
    work.inputs = inputs_of_group_;
    work.position = position();
    for (const Range& strip : parts_of(run)) {
      work.step = strip.count() * kVector;
      for (Size v = strip.begin; v < strip.end; ++v) {
        const Block& block = blocks_[static_cast<std::size_t>(v)];
        // Where a tile has an odd number of rows or columns, the last outputs of its last blocks don't exist, and what
        // they alone would see needn't: it is something else of the tile.
        for (Size y = 0; y < kSeen; ++y)
          work.rows[y] =
              convolution_.begin(input_layout_, 0, block.slice, std::min(block.y + y, tiling.height + 1), block.x);
        work.last_column = std::min(kSeen - 1, tiling.width + 1 - block.x) * kVector;
        work.panel = panel + (strip.begin - run.begin) * inputs_of_group_ * kVector + (v - strip.begin) * kVector;
        kernels_.winograd_inputs(work);
      }
    }
  }

  /// Sums of a run, as [vector][output of the chunk][position].
  void multiply(const Chunk& chunk, const Range& run, float* scratch) const {
    const Size outputs = chunk.outputs.count();
    float* const sums = scratch + panel_floats();
    std::array<std::ptrdiff_t, kMostDenseVectors> places{};
    for (std::size_t v = 0; v < places.size(); ++v)
      places[v] = static_cast<std::ptrdiff_t>(v) * outputs * kSumsOfOutput;
    DensePanel panel{};
    panel.first = chunk.blocks.data();
    panel.blocks = static_cast<std::ptrdiff_t>(chunk.blocks.size()) - 1;
    panel.places = places.data();
    panel.output_channel = kSumsOfOutput;
    panel.weights = weights_.data() + chunk.weights;
    const float* const end = weights_.data() + weights_.size();
    for (const Range& inputs : inputs_) {
      panel.inputs = inputs.count();
      panel.bias = inputs.begin == 0 ? zeros_.data() : nullptr;
      for (Size p = 0; p < kPositions; ++p) {
        panel.next = panel.weights + outputs * inputs.count();
        for (const Range& strip : parts_of(run)) {
          // With the last strip comes what the next position begins with.
          panel.next_floats = strip.end < run.end ? 0 : std::min<Size>(outputs * inputs.count(), end - panel.next);
          panel.input = scratch + p * position() + (strip.begin - run.begin) * inputs_of_group_ * kVector +
                        inputs.begin * strip.count() * kVector;
          panel.output = sums + (strip.begin - run.begin) * outputs * kSumsOfOutput + p * kVector;
          kernels_.dense[strip.count() - 1](panel);
        }
        panel.weights = panel.next;
      }
    }
  }

  /// Sums of a chunk become outputs.
  void finish(Buffers buffers, Size group, const Chunk& chunk, const Range& run, const float* sums) const {
    WinogradSums work{};
    work.channel = kSumsOfOutput;
    work.channels = chunk.outputs.count();
    work.bias = bias_.data() + chunk.outputs.begin;
    work.output_channel = output_layout_.channel_floats();
    work.output = buffers[output_] + group * output_layout_.group_floats() +
                  chunk.outputs.begin * output_layout_.channel_floats();
    work.finish = finish_of(ending_, buffers, group, chunk.outputs.begin);
    for (Size v = run.begin; v < run.end; ++v) {
      const Block& block = blocks_[static_cast<std::size_t>(v)];
      work.sums = sums + (v - run.begin) * work.channels * kSumsOfOutput;
      std::array<std::ptrdiff_t, kSide * kSide> there{};
      Size count = 0;
      for (Size o = 0; o < kSide * kSide; ++o) {
        const Size y = block.y + o / kSide, x = block.x + o % kSide;
        work.places[o] = -1;
        if (y >= output_layout_.tiling.height || x >= output_layout_.tiling.width) continue;
        work.places[o] = output_layout_.at(0, block.slice, y, 0, x);
        if (ending_.residual >= 0) work.residual_places[o] = ending_.residual_layout.at(0, block.slice, y, 0, x);
        there[static_cast<std::size_t>(count++)] = work.places[o];
      }
      if (!kernels_.winograd_outputs(work)) sum_up(buffers, group, chunk, block, work);
      if (ending_.activation)
        activate(kernels_, *ending_.activation, work.output, there.data(), count, work.channels, work.output_channel);
    }
  }

  /// A block of which some sum isn't finite, window by window: outputs that don't see what isn't shall not show it, and
  /// a sum of three inputs may be beyond float32 where none of their products is.
  void sum_up(Buffers buffers, Size group, const Chunk& chunk, const Block& block, const WinogradSums& work) const {
    const float* const input =
        buffers[input_] + group * input_layout_.group_floats() +
        chunk.group * (input_layout_.image.channels / convolution_.groups) * input_layout_.channel_floats();
    for (Size c = 0; c < work.channels; ++c)
      for (Size o = 0; o < kSide * kSide; ++o) {
        if (work.places[o] < 0) continue;
        const float* const window =
            input + convolution_.begin(input_layout_, 0, block.slice, block.y + o / kSide, block.x + o % kSide);
        std::array<float, kVector> sums;
        sums.fill(work.bias[c]);
        for_each_weight(*convolution_.weight, chunk.outputs.begin + c, {0, convolution_.inputs()},
                        [&](Size column, float value) {
                          const float* const seen = window + input_offset(convolution_, input_layout_, column);
                          for (std::size_t l = 0; l < sums.size(); ++l) sums[l] += value * seen[l];
                        });
        const Finish& finish = work.finish;
        float* const to = work.output + c * work.output_channel + work.places[o];
        for (std::size_t l = 0; l < sums.size(); ++l) {
          float sum = sums[l];
          if (finish.residual) sum += finish.residual[c * finish.residual_channel + work.residual_places[o] + Size(l)];
          if (finish.clips) {
            sum = finish.low > sum ? finish.low : sum;  // NaN stays
            sum = finish.high < sum ? finish.high : sum;
          }
          to[l] = sum;
        }
      }
  }

  /// Vectors that kernels take at once.
  class Strips {
   public:
    Strips(Range run, Size most) : run_(run), most_(most) {}
    struct Iterator {
      Range at;
      Size most, last;
      Range operator*() const { return at; }
      bool operator!=(const Iterator& other) const { return at.begin != other.at.begin; }
      Iterator& operator++() {
        at = {at.end, std::min(at.end + most, last)};
        return *this;
      }
    };
    Iterator begin() const { return {{run_.begin, std::min(run_.begin + most_, run_.end)}, most_, run_.end}; }
    Iterator end() const { return {{run_.end, run_.end}, most_, run_.end}; }

   private:
    Range run_;
    Size most_;
  };
  Strips parts_of(const Range& run) const { return {run, kernels_.dense_vectors}; }

  const Kernels& kernels_;
  Convolution convolution_;
  const std::shared_ptr<const Constant> weight_;  // kept for sums that aren't finite; none if nobody else shares it
  Size inputs_of_group_;                          // channels, of each slice that a window sees
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  std::vector<float> bias_, zeros_;
  std::vector<Range> inputs_;             // of a group
  std::vector<Block> blocks_;             // of a tile
  std::vector<std::vector<Range>> rows_;  // runs of blocks
  std::vector<Chunk> chunks_;
  Size most_outputs_ = 0;               // of a chunk
  std::vector<Range> outputs_;          // chunks, in parts
  std::vector<std::uint32_t> offsets_;  // bytes, from a window's first input to those of other planes
  std::vector<float> weights_;
};

}  // namespace

double winograd_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  if (!fits(convolution)) return std::numeric_limits<double>::infinity();
  const Tiling& tiling = output.tiling;
  const double blocks = static_cast<double>(output.groups() * tiling.depth * ceil_divided(tiling.height, kSide) *
                                            ceil_divided(tiling.width, kSide));
  const double inputs = static_cast<double>(convolution.inputs() / (kTaps * kTaps));
  const double outputs = static_cast<double>(convolution.outputs()), groups = static_cast<double>(convolution.groups);
  return blocks * (static_cast<double>(kPositions) * inputs * outputs * kernels.dense_cycles +
                   groups * inputs * kCyclesPerInput + outputs * kCyclesPerOutput);
}

std::unique_ptr<Step> make_winograd_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                                const Layout& input_layout, int output, const Layout& output_layout,
                                                const Ending& ending, int threads) {
  return std::make_unique<WinogradConvolution>(kernels, convolution, input, input_layout, output, output_layout, ending,
                                               threads);
}

}  // namespace netsurgery
