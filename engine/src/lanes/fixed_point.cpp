#include "lanes/fixed_point.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "lanes/pieces.hpp"
#include "lanes/ranges.hpp"
#include "lanes/seen_bytes.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerConnection = 0.55;  // of a vector
constexpr double kCyclesPerRun = 6;            // of a strip, for each output channel: about eight runs
constexpr double kCyclesPerFinished = 9;       // of a vector
constexpr double kCyclesPerShort = 3;          // the same in 16 bits
constexpr Size kBlockBytes = 96 * 1024;        // of inputs of a block: with smaller ones, more sums are taken up again
constexpr double kLeastPerBlock = 16;         // connections of an output channel in a block, to pay for adding its sums
constexpr Size kByteBlockBytes = 256 * 1024;  // where they are bytes: the second cache gives those fast enough
// Of vectors, of an output channel: runs of a few connections end too often. Bytes take longer to multiply than to add.
constexpr Size kFewProducts = 512, kFewProductsOfBytes = 100;
constexpr Size kChannelsAtOnce = 64;  // whose sums of 32 bits are kept between blocks
constexpr Size kVectorBytes = kShorts * static_cast<Size>(sizeof(std::int16_t));
// Inputs of a strip that the first cache holds needn't be bytes; nor those that few outputs see.
constexpr Size kFirstCacheBytes = 24 * 1024;
constexpr double kFewestUses = 8;
constexpr double kLargestByte = 255;
constexpr Size kMostVectors = std::numeric_limits<std::uint16_t>::max();  // of a block: offsets have 16 bits

/// A weight that is kept.
struct Connection {
  Size vector;
  int exponent;
  bool negative;
};

class FixedConvolution final : public Step {
 public:
  FixedConvolution(const Kernels& kernels, const Convolution& convolution, const FixedLimits& inputs, int input,
                   const Layout& input_layout, int output, const Layout& output_layout, const FixedEnding& ending,
                   int threads)
      : kernels_(kernels),
        windows_(convolution),
        outputs_(convolution.outputs()),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        strips_(strips_of(convolution, output_layout.tiling, kernels.most_vectors)),
        vectors_of_strip_(strips_.slices.back().count() * strips_.rows.back().count() * strips_.columns.back().count()),
        seen_(convolution, strips_) {
    const std::vector<double> largest = reaches(*convolution.weight, inputs);
    for (const double sum : largest) short_.push_back(sum <= static_cast<double>(kLargestShort));
    all_short_ = std::all_of(short_.begin(), short_.end(), [](bool one) { return one; });
    in_bytes_ = pays_as_bytes(convolution, inputs);
    const std::vector<Range> cuts_of_channels = channels_of_blocks(convolution);
    for (const Range& channels : cuts_of_channels) {
      Block block;
      block.channels = channels;
      block.begins = channels.begin == 0;
      block.finishes = channels.end == cuts_of_channels.back().end;
      fill(block, convolution, channels, inputs);
      blocks_.push_back(std::move(block));
    }
    const OutputCuts cuts{outputs_, convolution.groups, 1};
    const Size count = output_parts(rows_of_strips(), outputs_, threads);
    for (Size i = 0; i < count; ++i) parts_.push_back({cuts.begin_of(i, count), cuts.begin_of(i + 1, count)});
  }

  Size pieces() const override { return rows_of_strips() * readers(); }
  Size readers() const override { return static_cast<Size>(parts_.size()); }

  Size scratch() const override {
    Size most = 0;  // channels of a block
    for (const Block& block : blocks_) most = std::max(most, block.channels.count());
    return sums_floats() + (in_bytes_ ? most * seen_.vectors() * kShorts / static_cast<Size>(sizeof(float)) : 0);
  }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Range& outputs = parts_[static_cast<std::size_t>(piece % static_cast<Size>(parts_.size()))];
      Size rest = piece / static_cast<Size>(parts_.size());
      const Range& rows = strips_.rows[static_cast<std::size_t>(rest % static_cast<Size>(strips_.rows.size()))];
      rest /= static_cast<Size>(strips_.rows.size());
      const Range& slices = strips_.slices[static_cast<std::size_t>(rest % static_cast<Size>(strips_.slices.size()))];
      rest /= static_cast<Size>(strips_.slices.size());
      const Size at_once = keeps_sums() ? kept_channels() : outputs.count();
      for (const Range& columns : strips_.columns)
        for (Size first = outputs.begin; first < outputs.end; first += at_once)
          strip(buffers, rest, slices, rows, columns, {first, std::min(first + at_once, outputs.end)}, scratch);
    }
  }

 private:
  struct Start {
    std::uint32_t vector, run, power;
  };
  /// Some input channels, or all of them: whatever stays in a near cache while all outputs see it.
  struct Block {
    Range channels{0, 0};                 // of the input
    bool begins = true, finishes = true;  // sums
    std::vector<std::uint16_t> vectors, runs;
    std::vector<std::uint8_t> powers;
    std::vector<Start> starts;  // of each output channel, in all of them
  };
  /// True if sums of 32 bits are kept between blocks.
  bool keeps_sums() const { return blocks_.size() > 1 && !all_short_; }
  Size kept_channels() const { return kChannelsAtOnce * kernels_.most_vectors / vectors_of_strip_; }
  Size sums_floats() const { return kernels_.most_vectors * kShorts * (keeps_sums() ? kChannelsAtOnce : 1); }

  /// True if strips first make bytes of what their windows see: many outputs see each, and more than a near cache
  /// holds.
  bool pays_as_bytes(const Convolution& convolution, const FixedLimits& inputs) const {
    if (inputs.low < 0 || inputs.high > kLargestByte || convolution.groups > 1) return false;
    if (seen_.vectors() > kMostVectors) return false;
    const Size channels = input_layout_.image.channels;
    const double together = static_cast<double>(all_short_ ? outputs_ : std::min(outputs_, kept_channels()));
    const double uses = static_cast<double>(convolution.weight->kept * vectors_of_strip_) * together /
                        static_cast<double>(outputs_ * channels * seen_.vectors());
    return uses >= kFewestUses && channels * seen_.vectors() * kVectorBytes > kFirstCacheBytes;
  }

  /// Of a layer without groups; others see few channels at once.
  std::vector<Range> channels_of_blocks(const Convolution& convolution) const {
    const Size channels = input_layout_.image.channels;
    if (convolution.groups > 1) return {{0, channels}};
    const double each = static_cast<double>(convolution.weight->kept) / static_cast<double>(outputs_ * channels);
    const Size by_cache = in_bytes_ ? kByteBlockBytes / (seen_.vectors() * kVectorBytes / 2)
                                    : kBlockBytes / (vectors_seen(convolution, strips_) * kVectorBytes);
    const Size by_work = static_cast<Size>(kLeastPerBlock / std::max(each, 1e-9));
    const Size most = in_bytes_ ? kMostVectors / seen_.vectors() : channels;
    return parts(channels, std::clamp(std::max(by_cache, std::min(by_work, channels)), Size{1}, most));
  }

  void fill(Block& block, const Convolution& convolution, const Range& channels, const FixedLimits& inputs) const {
    const Size of_group = outputs_ / convolution.groups, taps = convolution.taps();
    const Range columns = convolution.groups == 1 ? Range{channels.begin * taps, channels.end * taps}
                                                  : Range{0, convolution.weight->columns};
    const Size group_floats = input_layout_.image.channels / convolution.groups * input_layout_.channel_floats();
    for (Size row = 0; row < outputs_; ++row) {
      std::vector<Connection> connections;
      for_each_weight(*convolution.weight, row, columns, [&](Size column, float value) {
        const Size place = row / of_group * group_floats + input_offset(convolution, input_layout_, column);
        const Size byte_place = (column / taps - channels.begin) * seen_.vectors() + seen_.tap(column % taps);
        connections.push_back({in_bytes_ ? byte_place : place / kVector, std::ilogb(value), value < 0});
      });
      block.starts.push_back({static_cast<std::uint32_t>(block.vectors.size()),
                              static_cast<std::uint32_t>(block.runs.size()),
                              static_cast<std::uint32_t>(block.powers.size())});
      std::stable_sort(connections.begin(), connections.end(), [](const Connection& a, const Connection& b) {
        return a.exponent != b.exponent ? a.exponent > b.exponent : a.negative < b.negative;
      });
      const std::size_t place = static_cast<std::size_t>(row);
      if (short_[place])
        put_short(block, connections, ending_.doublings.empty() ? 0 : ending_.doublings[place]);
      else
        put_parts(block, connections, inputs);
    }
    block.vectors.shrink_to_fit();  // they stay for as long as the plan
    block.runs.shrink_to_fit();
    block.powers.shrink_to_fit();
  }

  /// Connections of a row whose sums stay within 16 bits. doublings: of a sum that is small enough for them.
  void put_short(Block& block, const std::vector<Connection>& connections, int doublings) const {
    const Size work = static_cast<Size>(connections.size()) * vectors_of_strip_;
    const Size few = in_bytes_ ? kFewProductsOfBytes : kFewProducts;
    if (!connections.empty() && work <= few && connections.front().exponent + doublings < kShortPowers) {
      block.runs.push_back(kMultiplied);
      block.runs.push_back(static_cast<std::uint16_t>(connections.size()));
      for (const Connection& connection : connections) {
        const int power = connection.exponent + doublings;
        block.vectors.push_back(static_cast<std::uint16_t>(connection.vector));
        block.powers.push_back(static_cast<std::uint8_t>(connection.negative ? kShortPowers + power : power));
      }
      return;
    }
    block.runs.push_back(kOneShort);
    put_levels(block, connections, 0, connections.size(), -doublings);
  }

  /// Sorted connections, from the highest exponent down to `lowest`.
  static void put_levels(Block& block, const std::vector<Connection>& connections, std::size_t begin, std::size_t end,
                         int lowest) {
    const int highest = begin < end ? connections[begin].exponent : lowest - 1;
    block.runs.push_back(static_cast<std::uint16_t>(highest - lowest + 1));
    std::size_t next = begin;
    for (int level = highest; level >= lowest; --level)
      for (const bool negative : {false, true}) {
        const std::size_t first = next;
        for (; next < end && connections[next].exponent == level && connections[next].negative == negative; ++next)
          block.vectors.push_back(static_cast<std::uint16_t>(connections[next].vector));
        block.runs.push_back(static_cast<std::uint16_t>(next - first));
      }
  }

  /// Connections of a row, cut into parts whose sums stay within 16 bits whatever their inputs are.
  void put_parts(Block& block, const std::vector<Connection>& connections, const FixedLimits& inputs) const {
    struct Part {
      std::size_t begin, end;
      int base;
    };
    std::vector<Part> cuts;
    // Only what a part ends with has to fit: on the way there, sums may go round.
    const auto fits = [&inputs](double positive, double negative) {
      return inputs.reach(positive, negative) <= static_cast<double>(kLargestShort);
    };
    double positive = 0, negative = 0;  // of a part's weights, in units of its lowest exponent
    for (std::size_t i = 0; i < connections.size(); ++i) {
      const int exponent = connections[i].exponent;
      const double more_positive = connections[i].negative ? 0 : 1, more_negative = 1 - more_positive;
      if (!cuts.empty()) {
        Part& part = cuts.back();
        const double all_positive = std::ldexp(positive, part.base - exponent) + more_positive;
        const double all_negative = std::ldexp(negative, part.base - exponent) + more_negative;
        if (fits(all_positive, all_negative)) {
          positive = all_positive;
          negative = all_negative;
          part.base = exponent;
          part.end = i + 1;
          continue;
        }
      }
      cuts.push_back({i, i + 1, exponent});
      positive = more_positive;
      negative = more_negative;
    }
    if (cuts.empty() && (block.begins || block.finishes)) cuts.push_back({0, 0, 0});
    block.runs.push_back(static_cast<std::uint16_t>(cuts.size()));
    for (const Part& part : cuts) {
      block.runs.push_back(static_cast<std::uint16_t>(part.base));
      put_levels(block, connections, part.begin, part.end, part.base);
    }
  }

  Size rows_of_strips() const {
    return output_layout_.groups() * static_cast<Size>(strips_.slices.size() * strips_.rows.size());
  }

  void strip(Buffers buffers, Size group, const Range& slices, const Range& rows, const Range& columns,
             const Range& outputs, float* scratch) const {
    const Size step = windows_.stride_x <= 2 ? windows_.stride_x - 1 : 2;
    const Size z = slices.begin, y = rows.begin, x = columns.begin;
    const Size height = slices.count() * rows.count(), width = columns.count();
    const bool behind = slices.count() > 1;
    const auto row_of = [behind](const Layout& layout) {
      return kShortsPerFloat * (behind ? layout.slice_floats() : layout.row_floats());
    };
    FixedStrip strip{};
    const std::int16_t* input = shorts(buffers[input_] + windows_.begin(input_layout_, group, z, y, x));
    std::uint8_t* const bytes = reinterpret_cast<std::uint8_t*>(scratch + sums_floats());
    if (in_bytes_) {
      strip.input = bytes;
      strip.input_row = (behind ? seen_.slice_step() : seen_.row_step()) * kShorts;
      strip.input_column = kShorts;
    } else {
      strip.input = input;
      strip.input_row = (behind ? windows_.stride_z : windows_.stride_y) * row_of(input_layout_);
      strip.input_column = windows_.stride_x * kShorts;
    }
    strip.output = shorts(buffers[output_] + output_layout_.at(group, z, y, outputs.begin, x));
    strip.output_channel = kShortsPerFloat * output_layout_.channel_floats();
    strip.output_row = row_of(output_layout_);
    strip.channels = outputs.count();
    strip.wide = reinterpret_cast<std::int32_t*>(scratch);
    strip.finish = finish_of(ending_, outputs.begin, outputs.begin);
    if (ending_.residual >= 0) {
      const Layout& residual = ending_.residual_layout;
      strip.finish.residual = shorts(buffers[ending_.residual] + residual.at(group, z, y, outputs.begin, x));
      strip.finish.residual_channel = kShortsPerFloat * residual.channel_floats();
      strip.finish.residual_row = row_of(residual);
    }
    const auto kernel =
        in_bytes_ ? kernels_.fixed_bytes[height - 1][width - 1] : kernels_.fixed[height - 1][width - 1][step];
    for (const Block& block : blocks_) {
      if (in_bytes_) {
        const Size begin = kShortsPerFloat * block.channels.begin * input_layout_.channel_floats();
        kernels_.pack_bytes(seen_.packing(input_layout_, input + begin, block.channels.count(), slices.count(),
                                          rows.count(), columns.count(), bytes));
      }
      const Start& start = block.starts[static_cast<std::size_t>(outputs.begin)];
      strip.begins = block.begins;
      strip.finishes = block.finishes;
      strip.vectors = block.vectors.data() + start.vector;
      strip.runs = block.runs.data() + start.run;
      strip.powers = block.powers.data() + start.power;
      kernel(strip);
    }
  }

  const Kernels& kernels_;
  Windows windows_;
  Size outputs_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  FixedEnding ending_;
  Strips strips_;
  Size vectors_of_strip_;
  std::vector<Range> parts_;
  std::vector<Block> blocks_;
  std::vector<bool> short_;  // of each output channel: its sums have 16 bits
  bool all_short_ = false;
  SeenBytes seen_;
  bool in_bytes_ = false;
};

/// Pieces: rows of tiles in all groups.
class FixedPoolStep final : public Step {
 public:
  FixedPoolStep(const Kernels& kernels, const Windows& windows, int input, const Layout& input_layout, int output,
                const Layout& output_layout)
      : kernels_(kernels),
        windows_(windows),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout) {}

  Size pieces() const override { return output_layout_.groups() * output_layout_.tiling.height; }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / output_layout_.tiling.height, y = piece % output_layout_.tiling.height;
      FixedPool pool{};
      pool.input = shorts(buffers[input_] + windows_.begin(input_layout_, group, 0, y, 0));
      pool.input_column = windows_.stride_x * kShorts;
      pool.tap_row = kShortsPerFloat * windows_.dilation_y * input_layout_.row_floats();
      pool.tap_column = windows_.dilation_x * kShorts;
      pool.taps_y = windows_.kernel_y;
      pool.taps_x = windows_.kernel_x;
      pool.output = shorts(buffers[output_] + output_layout_.at(group, 0, y, 0, 0));
      pool.columns = output_layout_.tiling.width;
      pool.channels = output_layout_.image.channels;
      pool.input_channel = kShortsPerFloat * input_layout_.channel_floats();
      pool.output_channel = kShortsPerFloat * output_layout_.channel_floats();
      kernels_.fixed_pool(pool);
    }
  }

 private:
  const Kernels& kernels_;
  Windows windows_;
  int input_, output_;
  Layout input_layout_, output_layout_;
};

}  // namespace

FixedFinish finish_of(const FixedEnding& ending, Size output, Size row) {
  FixedFinish finish{};
  finish.scale = ending.scale.data() + row;
  finish.shift = ending.shift.data() + output;
  finish.low = ending.low;
  finish.high = ending.high;
  if (!ending.factor.empty()) {
    finish.offset = ending.offset.data() + output;
    finish.factor = ending.factor.data() + output;
    finish.own_bits = ending.own_bits;
    finish.residual_bits = ending.residual_bits;
    finish.last_bits = ending.last_bits;
  }
  finish.own_factor = ending.own_factor;
  finish.residual_factor = ending.residual_factor;
  finish.last_low = ending.last_low;
  finish.last_high = ending.last_high;
  return finish;
}

bool is_whole(const Constant& weight) {
  if (weight.form == Constant::Form::kPlanes) return false;
  return std::all_of(weight.values.begin(), weight.values.end(), [](float value) {
    int exponent = 0;
    return value == 0.0f || (std::isfinite(value) && std::abs(std::frexp(value, &exponent)) == 0.5f && exponent >= 1 &&
                             exponent <= kHighestPower + 1);
  });
}

std::vector<double> sums_of_magnitudes(const Constant& weight) {
  std::vector<double> sums(static_cast<std::size_t>(weight.rows), 0.0);
  if (weight.form == Constant::Form::kPlanes) {
    for (std::size_t i = 0; i < weight.scales.size(); ++i)
      sums[i / static_cast<std::size_t>(weight.planes)] +=
          std::abs(static_cast<double>(weight.scales[i])) * static_cast<double>(weight.columns);
    return sums;
  }
  for (Size row = 0; row < weight.rows; ++row)
    for_each_weight(weight, row, {0, weight.columns}, [&](Size, float value) {
      sums[static_cast<std::size_t>(row)] += std::abs(static_cast<double>(value));
    });
  return sums;
}

std::vector<double> reaches(const Constant& weight, const FixedLimits& inputs) {
  std::vector<double> result;
  for (Size row = 0; row < weight.rows; ++row) {
    double positive = 0, negative = 0;
    for_each_weight(weight, row, {0, weight.columns}, [&](Size, float value) {
      (value < 0 ? negative : positive) += std::abs(static_cast<double>(value));
    });
    result.push_back(inputs.reach(positive, negative));
  }
  return result;
}

bool fixed_offsets_fit(const Convolution& convolution, const Layout& input) {
  const Size last = convolution.tap_offset(input, convolution.taps() - 1) / kVector +
                    input.image.channels * input.channel_floats() / kVector;
  return last <= std::numeric_limits<std::uint16_t>::max() &&
         convolution.weight->columns <= std::numeric_limits<std::uint16_t>::max();
}

double fixed_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output,
                                bool in_shorts) {
  const Strips strips = strips_of(convolution, output.tiling, kernels.most_vectors);
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors());
  const double begun = static_cast<double>(output.groups() * strips.count());
  const double outputs = static_cast<double>(convolution.outputs());
  return static_cast<double>(convolution.weight->kept) * kCyclesPerConnection * vectors +
         outputs * (kCyclesPerRun * begun + (in_shorts ? kCyclesPerShort : kCyclesPerFinished) * vectors);
}

std::unique_ptr<Step> make_fixed_convolution(const Kernels& kernels, const Convolution& convolution,
                                             const FixedLimits& inputs, int input, const Layout& input_layout,
                                             int output, const Layout& output_layout, const FixedEnding& ending,
                                             int threads) {
  if (!fixed_offsets_fit(convolution, input_layout))
    throw Error(NS_ERROR_INTERNAL, "an input of a convolution lies too far away for its offset: please report it.");
  return std::make_unique<FixedConvolution>(kernels, convolution, inputs, input, input_layout, output, output_layout,
                                            ending, threads);
}

std::unique_ptr<Step> make_fixed_pool(const Kernels& kernels, const Windows& windows, int input,
                                      const Layout& input_layout, int output, const Layout& output_layout) {
  return std::make_unique<FixedPoolStep>(kernels, windows, input, input_layout, output, output_layout);
}

}  // namespace netsurgery
