#include "lanes/fixed_tables.hpp"

#include <algorithm>
#include <numeric>

#include "lanes/pieces.hpp"
#include "lanes/table_blocks.hpp"

namespace netsurgery {
namespace {

constexpr Size kFewestTablesInBlock = 4;  // with fewer, time goes into adding up blocks
constexpr double kCyclesPerTable = 30;
constexpr double kCyclesPerEntry = 1.1;
constexpr double kCyclesPerSum = 8;       // of a block, for each row
constexpr double kCyclesPerFinished = 6;  // of all blocks, the same

/// So many that the sum of an entry of each has 16 bits, and the first cache holds them.
Size tables_in_block(const FixedLimits& inputs) {
  const double largest = std::max({-inputs.low, inputs.high, 1.0});
  return std::min(kMostTablesInBlock, static_cast<Size>(static_cast<double>(kLargestShort) / (kTableInputs * largest)));
}

/// Pieces: vectors of the output picture times parts of the outputs.
class FixedTableConvolution final : public Step {
 public:
  FixedTableConvolution(const Kernels& kernels, const Convolution& convolution, const FixedLimits& inputs, Size planes,
                        int input, const Layout& input_layout, int output, const Layout& output_layout,
                        const FixedEnding& ending, int threads)
      : kernels_(kernels),
        convolution_(convolution),
        planes_(planes),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        tables_(tables_in_block(inputs)),
        blocks_(table_blocks(convolution, input_layout, tables_, kFixedTableRows)) {
    // Not between rows that a kernel works on together, nor between the planes of an output.
    const Size together = std::lcm(Size{kFixedTableRows}, planes) / planes;
    const OutputCuts cuts{convolution.outputs() / planes, convolution.groups, together};
    const Size count = output_parts(vectors(), ceil_divided(cuts.outputs, together), threads);
    for (Size i = 0; i < count; ++i) parts_.push_back({cuts.begin_of(i, count), cuts.begin_of(i + 1, count)});
    convolution_.weight = convolution_.bias = nullptr;
  }

  Size pieces() const override { return vectors() * readers(); }
  Size readers() const override { return static_cast<Size>(parts_.size()); }

  Size scratch() const override {
    Size most = 0;
    for (const Range& part : parts_) most = std::max(most, part.count());
    return tables_floats() + most * planes_ * kShorts;
  }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size width = output_layout_.tiling.width, rows = output_layout_.tiling.rows();
    const Size parts = static_cast<Size>(parts_.size());
    for (Size piece = begin; piece < end; ++piece) {
      const Size pixel = piece / parts, row = pixel / width;
      vector(buffers, row / rows, row % rows, pixel % width, parts_[static_cast<std::size_t>(piece % parts)], scratch);
    }
  }

 private:
  Size vectors() const { return output_layout_.groups() * output_layout_.tiling.vectors(); }
  Size tables_floats() const { return tables_ * kTableEntries * kVector; }

  void vector(Buffers buffers, Size group, Size row, Size x, const Range& outputs, float* scratch) const {
    const Size height = output_layout_.tiling.height;
    const Range rows{outputs.begin * planes_, outputs.end * planes_};
    FixedTables tables{};
    tables.input = shorts(buffers[input_] + convolution_.begin(input_layout_, group, row / height, row % height, x));
    tables.tables = shorts(scratch);
    FixedTableSums sums{};
    sums.tables = tables.tables;
    std::int32_t* const wide = reinterpret_cast<std::int32_t*>(scratch + tables_floats());
    for (const TableBlock& block : blocks_) {
      const Size first = std::max(rows.begin, block.first_output), last = std::min(rows.end, block.last_output);
      if (first >= last) continue;
      tables.offsets = block.offsets.data();
      tables.inputs = static_cast<std::ptrdiff_t>(block.offsets.size());
      kernels_.fixed_tables(tables);
      sums.groups = block.tables();
      sums.entries = block.entries_from(first, 1);
      sums.rows = last - first;
      sums.sums = wide + (first - rows.begin) * kShorts;
      sums.begins = block.begins;
      kernels_.fixed_table_sums(sums);
    }
    FixedPlanes work{};
    work.sums = wide;
    work.planes = planes_;
    work.channels = outputs.count();
    work.output = shorts(buffers[output_] + output_layout_.at_row(group, row, outputs.begin, x));
    work.output_channel = kShortsPerFloat * output_layout_.channel_floats();
    work.finish = finish_of(ending_, outputs.begin, rows.begin);
    if (ending_.residual >= 0) {
      const Layout& residual = ending_.residual_layout;
      work.finish.residual = shorts(buffers[ending_.residual] + residual.at_row(group, row, outputs.begin, x));
      work.finish.residual_channel = kShortsPerFloat * residual.channel_floats();
    }
    kernels_.fixed_planes(work);
  }

  const Kernels& kernels_;
  Convolution convolution_;
  Size planes_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  FixedEnding ending_;
  Size tables_;  // of a block, at most
  std::vector<TableBlock> blocks_;
  std::vector<Range> parts_;  // of the outputs
};

}  // namespace

bool has_fixed_tables(const Constant& weight, Size groups, const FixedLimits& inputs) {
  return weight.form == Constant::Form::kPlanes && weight.planes == 1 &&
         std::all_of(weight.scales.begin(), weight.scales.end(), [](float scale) { return scale == 1.0f; }) &&
         weight.rows / groups >= kFewestTableOutputs && tables_in_block(inputs) >= kFewestTablesInBlock;
}

double fixed_table_cycles(const Convolution& convolution, const FixedLimits& inputs, Size planes,
                          const Layout& output) {
  const Constant& weight = *convolution.weight;
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors());
  const Size tables = ceil_divided(weight.columns, Size{kTableInputs}),
             blocks = ceil_divided(tables, tables_in_block(inputs));
  const double of_row = kCyclesPerEntry * static_cast<double>(tables) + kCyclesPerSum * static_cast<double>(blocks) +
                        kCyclesPerFinished / static_cast<double>(planes);
  return vectors * (kCyclesPerTable * static_cast<double>(tables * convolution.groups) +
                    of_row * static_cast<double>(weight.rows));
}

std::unique_ptr<Step> make_fixed_tables(const Kernels& kernels, const Convolution& convolution,
                                        const FixedLimits& inputs, Size planes, int input, const Layout& input_layout,
                                        int output, const Layout& output_layout, const FixedEnding& ending,
                                        int threads) {
  return std::make_unique<FixedTableConvolution>(kernels, convolution, inputs, planes, input, input_layout, output,
                                                 output_layout, ending, threads);
}

}  // namespace netsurgery
