#include "lanes/convolution.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "lanes/dense_convolution.hpp"
#include "lanes/depthwise_convolution.hpp"
#include "lanes/pieces.hpp"
#include "lanes/pixel_convolution.hpp"
#include "lanes/ranges.hpp"
#include "lanes/winograd_convolution.hpp"
#include "threads/cores.hpp"

namespace netsurgery {
namespace {

constexpr double kDenseFrom = 0.5;         // density below which what was pruned is never computed
constexpr double kLeastPerBlock = 6;       // non-zeros of an output channel in a block, to pay for loading its sums
constexpr double kCyclesPerNonzero = 1.5;  // of a strip, beside one for each vector
constexpr double kCyclesPerSum = 3;        // of a vector
constexpr Size kVectorBytes = kVector * static_cast<Size>(sizeof(float));
constexpr Size kActivatedBytes = 16 * 1024;  // of sums that are still in the first cache when an activation follows
constexpr Size kFewestActivated = 8;         // output channels at once
constexpr Size kMapRowsBytes = 64 * 1024;    // of rows of the channels that are worked on together, in and out

/// Some input channels and the output channels that see them.
struct Block {
  Size first_output, last_output;  // [first, last)
  Size first_channel, channels;    // of the input
  bool begins, finishes;           // the sums of these outputs
  Size base;                       // floats from the first window of a strip to what `vectors` count from
  std::vector<float> nonzeros;
  std::vector<std::uint16_t> vectors;
  std::vector<std::uint32_t> starts;  // one for each output, and the end
};

/// True if each input channel is seen by its own outputs alone.
bool goes_by_maps(const Convolution& convolution) {
  return convolution.groups > 1 && convolution.inputs() == convolution.taps();
}

class SparseConvolution final : public Step {
 public:
  SparseConvolution(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                    int output, const Layout& output_layout, const Ending& ending, int threads)
      : kernels_(kernels),
        convolution_(convolution),
        all_outputs_(convolution.outputs()),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        seen_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        slices_first_(convolution.kernel_z > convolution.kernel_y),
        maps_first_(goes_by_maps(convolution)) {
    if (convolution.weight->form == Constant::Form::kPlanes) {  // their sums, where no table of sums pays
      expanded_ = *convolution.weight;
      expanded_.form = Constant::Form::kDense;
      expanded_.values = convolution.weight->dense();
      convolution_.weight = &expanded_;
    }
    bias_ = convolution.biases();
    strips_ = strips_of(convolution, output_layout.tiling, kernels.most_vectors);
    if (convolution.scaling) {
      Tiling strip = input_layout.tiling;
      strip.depth = strips_.slices.back().count();
      strip.height = strips_.rows.back().count();
      strip.width = strips_.columns.back().count();
      seen_ = Layout{input_layout.image, strip, {}};
    }
    pack();
    cut_outputs(threads);
    convolution_.weight = nullptr;  // everything is packed
    expanded_ = Constant();
  }

  /// Rows of strips times parts of the outputs. Strips of one row stay together: theirs are neighbouring cache lines,
  /// which processors fetch in pairs and runs, so that two threads would take them from each other all the time.
  Size pieces() const override { return rows_of_strips() * readers(); }
  Size readers() const override { return static_cast<Size>(outputs_.size()); }

  Size scratch() const override {
    if (!convolution_.scaling) return 0;
    Size channels = 0;
    for (const Block& block : blocks_) channels = std::max(channels, block.channels);
    return channels * seen_.tiling.vectors() * kVector;
  }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    for (Size piece = begin; piece < end; ++piece) {
      Size rest = piece;
      const auto take = [&rest](std::size_t count) {
        const std::size_t index = static_cast<std::size_t>(rest % static_cast<Size>(count));
        rest /= static_cast<Size>(count);
        return index;
      };
      std::size_t part = 0;
      if (!maps_first_) part = take(outputs_.size());
      // What comes next sees most of the same inputs, so that these stay in the caches.
      std::size_t slice = 0, row = 0;
      if (slices_first_) slice = take(strips_.slices.size());
      row = take(strips_.rows.size());
      if (!slices_first_) slice = take(strips_.slices.size());
      if (maps_first_) part = take(outputs_.size());
      const Range &rows = strips_.rows[row], &slices = strips_.slices[slice], &outputs = outputs_[part];
      for (const Range& columns : strips_.columns) strip(buffers, rest, slices, rows, columns, outputs, scratch);
    }
  }

 private:
  Size outputs_of_group() const { return all_outputs_ / convolution_.groups; }
  Size channels_of_group() const { return input_layout_.image.channels / convolution_.groups; }

  /// Where the input of a weight's column lies, for an output of this group.
  Size offset_of_column(Size group, Size column) const {
    return group * channels_of_group() * seen_.channel_floats() + input_offset(convolution_, seen_, column);
  }

  Size kernel_rows() const { return convolution_.kernel_z * convolution_.kernel_y; }

  /// True if offsets within a block of so many channels and kernel rows, of one slice or of all, fit into 16 bits.
  bool is_near(Size channels, Size rows) const {
    const Size last = convolution_.tap_offset(seen_, rows * convolution_.kernel_x - 1);
    return ((channels - 1) * seen_.channel_floats() + last) / kVector <= std::numeric_limits<std::uint16_t>::max();
  }

  /// Blocks are some channels of one group, or some whole groups, and where slices or rows lie too far apart only one
  /// slice or one row of the kernel.
  void pack() {
    const Size channels = channels_of_group(), groups = convolution_.groups;
    const double per_channel =
        static_cast<double>(convolution_.weight->kept) / static_cast<double>(all_outputs_ * channels);
    const Size by_cache = std::max<Size>(1, first_cache_bytes() / (vectors_seen(convolution_, strips_) * kVectorBytes));
    const Size by_work = static_cast<Size>(kLeastPerBlock / std::max(per_channel, 1e-9));
    rows_in_block_ = 1;
    for (const Size rows : {kernel_rows(), convolution_.kernel_y})
      if (rows_in_block_ == 1 && is_near(1, rows)) rows_in_block_ = rows;
    Size most = std::max(by_cache, std::min(by_work, channels * groups));
    while (most > 1 && !is_near(most, rows_in_block_)) most /= 2;
    if (most >= channels) {
      for (const Range& some : parts(groups, std::max<Size>(1, most / channels)))
        add_blocks(some, {0, channels}, true, true);
      return;
    }
    const std::vector<Range> cuts = parts(channels, most);
    for (Size group = 0; group < groups; ++group)
      for (std::size_t i = 0; i < cuts.size(); ++i)
        add_blocks({group, group + 1}, cuts[i], i == 0, i + 1 == cuts.size());
  }

  /// Of these channels, for all outputs of these groups.
  void add_blocks(const Range& groups, const Range& channels, bool begins, bool finishes) {
    const Size taps = convolution_.taps();
    Block block{};
    block.first_output = groups.begin * outputs_of_group();
    block.last_output = groups.end * outputs_of_group();
    block.first_channel = groups.begin * channels_of_group() + channels.begin;
    block.channels = (groups.count() - 1) * channels_of_group() + channels.count();
    const Range columns{channels.begin * taps, channels.end * taps};
    for (Size row = 0; row < kernel_rows(); row += rows_in_block_) {
      block.base =
          block.first_channel * seen_.channel_floats() + convolution_.tap_offset(seen_, row * convolution_.kernel_x);
      block.begins = begins && row == 0;
      block.finishes = finishes && row + rows_in_block_ == kernel_rows();
      blocks_.push_back(sparse_block(block, columns, {row, row + rows_in_block_}));
    }
  }

  Block sparse_block(const Block& given, const Range& columns, const Range& rows) const {
    Block block = given;
    const Size taps = convolution_.taps();
    block.starts.push_back(0);
    for (Size output = block.first_output; output < block.last_output; ++output) {
      const Size group = output / outputs_of_group();
      for_each_weight(*convolution_.weight, output, columns, [&](Size column, float value) {
        const Size row = column % taps / convolution_.kernel_x;
        if (row < rows.begin || row >= rows.end) return;
        const Size vector = (offset_of_column(group, column) - block.base) / kVector;
        if (vector > std::numeric_limits<std::uint16_t>::max())
          throw Error(NS_ERROR_INTERNAL,
                      "an input of a convolution lies too far away for its offset: please report it.");
        block.nonzeros.push_back(value);
        block.vectors.push_back(static_cast<std::uint16_t>(vector));
      });
      block.starts.push_back(static_cast<std::uint32_t>(block.nonzeros.size()));
    }
    block.nonzeros.shrink_to_fit();  // they stay for as long as the plan
    block.vectors.shrink_to_fit();
    return block;
  }

  Size rows_of_strips() const {
    return output_layout_.groups() * static_cast<Size>(strips_.slices.size() * strips_.rows.size());
  }

  /// Depthwise, a channel is read for its own outputs alone: some channels at a time, from the first row to the last,
  /// so few that rows which the next strip sees again are still in the second cache.
  void cut_outputs(int threads) {
    const OutputCuts cuts{all_outputs_, convolution_.groups, 1};
    Size count = output_parts(rows_of_strips(), ceil_divided(all_outputs_, cuts.together), threads);
    if (maps_first_) {
      const Size bytes =
          (convolution_.groups * input_layout_.channel_floats() + all_outputs_ * output_layout_.channel_floats()) *
          static_cast<Size>(sizeof(float));
      count = std::max(count, std::min(ceil_divided(bytes, kMapRowsBytes), convolution_.groups));
    }
    for (Size i = 0; i < count; ++i) outputs_.push_back({cuts.begin_of(i, count), cuts.begin_of(i + 1, count)});
  }

  void strip(Buffers buffers, Size group, const Range& slices, const Range& rows, const Range& columns,
             const Range& outputs, float* scratch) const {
    const Size step = convolution_.stride_x <= 2 ? convolution_.stride_x - 1 : 2;
    const Size z = slices.begin, y = rows.begin, x = columns.begin;
    const Size height = slices.count() * rows.count(), width = columns.count();
    const bool behind = slices.count() > 1;
    const auto row_of = [behind](const Layout& layout) { return behind ? layout.slice_floats() : layout.row_floats(); };
    std::array<std::ptrdiff_t, kMostStripColumns * kMostStripRows> places{};  // of the strip's vectors
    for (Size i = 0; ending_.activation && i < height * width; ++i)
      places[static_cast<std::size_t>(i)] = i / width * row_of(output_layout_) + i % width * kVector;
    Strip common{};
    common.input = buffers[input_] + convolution_.begin(input_layout_, group, z, y, x);
    common.input_row = (behind ? convolution_.stride_z : convolution_.stride_y) * row_of(input_layout_);
    common.input_column = convolution_.stride_x * kVector;
    common.output_channel = output_layout_.channel_floats();
    common.output_row = row_of(output_layout_);
    common.finish = finish_of(ending_);
    const auto begins = std::partition_point(
        blocks_.begin(), blocks_.end(), [&outputs](const Block& block) { return block.last_output <= outputs.begin; });
    for (auto at = begins; at != blocks_.end() && at->first_output < outputs.end; ++at) {
      const Block& block = *at;
      if (convolution_.scaling) {
        const Size row_floats = block.channels * seen_.channel_floats();
        for (Size i = 0; i < height; ++i)
          scale_row(
              kernels_, *convolution_.scaling, buffers,
              {group, block.first_channel, block.channels,
               buffers[input_] +
                   input_layout_.at(group, behind ? z + i : z, behind ? y : y + i, block.first_channel, x),
               scratch + i * row_floats, input_layout_.channel_floats(), seen_.channel_floats(), width * kVector});
        common.input = scratch;
        common.input_row = row_floats;
      }
      const bool activates = block.finishes && ending_.activation;
      const Size last = std::min(block.last_output, outputs.end);
      const Size at_once = activates ? std::max(kFewestActivated, kActivatedBytes / (height * width * kVectorBytes))
                                     : std::max<Size>(1, all_outputs_);
      for (Size first = std::max(block.first_output, outputs.begin), end; first < last; first = end) {
        end = std::min(first + at_once, last);
        common.output = buffers[output_] + output_layout_.at(group, z, y, first, x);
        common.channels = end - first;
        common.bias = block.begins ? bias_.data() + first : nullptr;
        common.last = block.finishes;
        if (ending_.residual >= 0) {
          const Layout& residual = ending_.residual_layout;
          common.finish.residual = buffers[ending_.residual] + residual.at(group, z, y, first, x);
          common.finish.residual_channel = residual.channel_floats();
          common.finish.residual_row = row_of(residual);
        }
        SparseStrip strip{};
        static_cast<Strip&>(strip) = common;
        if (!convolution_.scaling) strip.input += block.base;
        strip.weights = block.nonzeros.data();
        strip.vectors = block.vectors.data();
        strip.starts = block.starts.data() + (first - block.first_output);
        kernels_.sparse[height - 1][width - 1][step](strip);
        if (activates)
          activate(kernels_, *ending_.activation, common.output, places.data(), height * width, common.channels,
                   common.output_channel);
      }
    }
  }

  const Kernels& kernels_;
  Convolution convolution_;
  Constant expanded_;
  Size all_outputs_;
  int input_, output_;
  Layout input_layout_, seen_;  // what kernels see: the input, or the pixels of a strip, scaled
  Layout output_layout_;
  Ending ending_;
  std::vector<float> bias_;
  bool slices_first_;
  bool maps_first_;
  Strips strips_;
  Size rows_in_block_ = 1;
  std::vector<Range> outputs_;
  std::vector<Block> blocks_;
};

double sparse_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  const Strips strips = strips_of(convolution, output.tiling, kernels.most_vectors);
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors());
  const double begun = static_cast<double>(output.groups() * strips.count());
  const double sums = static_cast<double>(convolution.outputs()) * kCyclesPerSum * vectors;
  return static_cast<double>(convolution.weight->kept) * (vectors + kCyclesPerNonzero * begun) + sums;
}

double cycles_of(ConvolutionWay way, const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  switch (way) {
    case ConvolutionWay::kDense:
      return dense_convolution_cycles(kernels, convolution, output);
    case ConvolutionWay::kPixels:
      return pixel_convolution_cycles(kernels, convolution, output);
    case ConvolutionWay::kWinograd:
      return winograd_convolution_cycles(kernels, convolution, output);
    case ConvolutionWay::kDepthwise:
      return depthwise_convolution_cycles(convolution, output);
    default:
      return sparse_convolution_cycles(kernels, convolution, output);
  }
}

}  // namespace

Strips strips_of(const Convolution& convolution, const Tiling& tiling, Size most) {
  Strips strips;
  strips.columns = parts(tiling.width, std::min<Size>(most, kMostStripColumns));
  const Size widest = strips.columns.back().count();
  const Size most_rows = strips.columns.size() == 1 ? std::clamp<Size>(most / widest, 1, kMostStripRows) : 1;
  // Where windows see more slices than rows, vectors of neighbouring slices see most of the same inputs.
  const bool behind = tiling.height == 1 || (tiling.depth > 1 && convolution.kernel_z > convolution.kernel_y);
  strips.slices = parts(tiling.depth, behind ? most_rows : 1);
  strips.rows = parts(tiling.height, behind ? 1 : most_rows);
  return strips;
}

Size vectors_seen(const Windows& windows, const Strips& strips) {
  const auto seen = [](const Range& some, Size stride, Size reach, Size kernel) {
    return std::min((some.count() - 1) * stride + reach, kernel * some.count());
  };
  return seen(strips.slices.back(), windows.stride_z, windows.reach_z(), windows.kernel_z) *
         seen(strips.rows.back(), windows.stride_y, windows.reach_y(), windows.kernel_y) *
         seen(strips.columns.back(), windows.stride_x, windows.reach_x(), windows.kernel_x);
}

double density(const Constant& weight) {
  return static_cast<double>(weight.kept) / static_cast<double>(weight.entries());
}

Size input_offset(const Convolution& convolution, const Layout& input, Size column) {
  const Size taps = convolution.taps();
  return column / taps * input.channel_floats() + convolution.tap_offset(input, column % taps);
}

bool offsets_fit(const Convolution& convolution, const Layout& input) {
  const Size last = input.row_floats() + convolution.tap_offset(input, convolution.taps() - 1);
  return last <= std::numeric_limits<std::uint32_t>::max() / static_cast<Size>(sizeof(float));
}

ConvolutionWay convolution_way(const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  ConvolutionWay best = ConvolutionWay::kSparse;
  if (density(*convolution.weight) < kDenseFrom) return best;
  if (is_depthwise(convolution, output)) return ConvolutionWay::kDepthwise;
  for (const ConvolutionWay way : {ConvolutionWay::kDense, ConvolutionWay::kPixels, ConvolutionWay::kWinograd})
    if (cycles_of(way, kernels, convolution, output) < cycles_of(best, kernels, convolution, output)) best = way;
  return best;
}

const char* name(ConvolutionWay way) {
  switch (way) {
    case ConvolutionWay::kDense:
      return "dense lanes";
    case ConvolutionWay::kPixels:
      return "dense pixels";
    case ConvolutionWay::kWinograd:
      return "winograd";
    case ConvolutionWay::kDepthwise:
      return "depthwise";
    default:
      return "sparse lanes";
  }
}

double convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output) {
  return cycles_of(convolution_way(kernels, convolution, output), kernels, convolution, output);
}

bool Convolution::may_scale() const {
  return taps() == 1 && stride_z == 1 && stride_y == 1 && stride_x == 1 && groups == 1 && !exact &&
         weight->form != Constant::Form::kPlanes;
}

std::vector<float> Convolution::biases() const { return dense_or(bias, outputs(), 0.0f); }

Finish finish_of(const Ending& ending) {
  Finish finish;
  finish.clips = ending.clips;
  finish.low = ending.low;
  finish.high = ending.high;
  return finish;
}

Finish finish_of(const Ending& ending, Buffers buffers, Size group, Size first) {
  Finish finish = finish_of(ending);
  if (ending.residual < 0) return finish;
  const Layout& residual = ending.residual_layout;
  finish.residual = buffers[ending.residual] + group * residual.group_floats() + first * residual.channel_floats();
  finish.residual_channel = residual.channel_floats();
  return finish;
}

void activate(const Kernels& kernels, const AppliedFunction& activation, float* output, Size floats, Size channels,
              Size channel) {
  const auto function = kernels.functions[static_cast<int>(activation.function)];
  if (floats == channel)
    function(output, output, channels * floats, activation.parameters);
  else
    for (Size c = 0; c < channels; ++c)
      function(output + c * channel, output + c * channel, floats, activation.parameters);
}

void activate(const Kernels& kernels, const AppliedFunction& activation, float* output, const std::ptrdiff_t* places,
              Size vectors, Size channels, Size channel) {
  kernels.placed_functions[static_cast<int>(activation.function)](
      {output, places, vectors, channels, channel, activation.parameters});
}

Size OutputCuts::begin_of(Size part, Size parts) const {
  const Size of_group = outputs / groups, at = outputs * part / parts;
  return part == parts ? outputs : at / of_group * of_group + at % of_group / together * together;
}

std::unique_ptr<Step> make_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                       const Layout& input_layout, int output, const Layout& output_layout,
                                       const Ending& ending, int threads) {
  const ConvolutionWay way = convolution_way(kernels, convolution, output_layout);
  if (way == ConvolutionWay::kDepthwise)
    return make_depthwise_convolution(kernels, convolution, input, input_layout, output, output_layout, ending,
                                      Dressing::kThere, threads);
  if (way != ConvolutionWay::kSparse && offsets_fit(convolution, input_layout)) {
    const auto make = way == ConvolutionWay::kDense    ? make_dense_convolution
                      : way == ConvolutionWay::kPixels ? make_pixel_convolution
                                                       : make_winograd_convolution;
    return make(kernels, convolution, input, input_layout, output, output_layout, ending, threads);
  }
  return std::make_unique<SparseConvolution>(kernels, convolution, input, input_layout, output, output_layout, ending,
                                             threads);
}

}  // namespace netsurgery
