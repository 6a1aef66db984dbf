#include "lanes/sign_tables.hpp"

#include <algorithm>

#include "lanes/pieces.hpp"
#include "lanes/table_blocks.hpp"

namespace netsurgery {
namespace {

constexpr Size kGroupsInCode = 8;
constexpr double kCyclesPerTable = 40;
constexpr double kCyclesPerEntry = 1.2;

/// Pieces: vectors of the output picture times parts of the outputs.
class TableConvolution final : public Step {
 public:
  TableConvolution(const Kernels& kernels, const Convolution& convolution, int input, const Layout& input_layout,
                   int output, const Layout& output_layout, const Ending& ending, int threads)
      : kernels_(kernels),
        convolution_(convolution),
        planes_(convolution.weight->planes),
        outputs_(convolution.outputs()),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending),
        scales_(convolution.weight->scales),
        bias_(convolution.biases()),
        together_(table_outputs(kernels.table_sums_together, planes_)),
        blocks_(table_blocks(convolution, input_layout, kMostTablesInBlock, together_)) {
    parts_ = output_parts(vectors(), ceil_divided(outputs_, together_), threads);
    convolution_.weight = convolution_.bias = nullptr;
  }

  Size pieces() const override { return vectors() * parts_; }
  Size readers() const override { return parts_; }
  Size scratch() const override { return kMostTablesInBlock * kTableEntries * kVector; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size width = output_layout_.tiling.width, rows = output_layout_.tiling.rows();
    for (Size piece = begin; piece < end; ++piece) {
      const Size part = piece % parts_, pixel = piece / parts_, row = pixel / width;
      vector(buffers, row / rows, row % rows, pixel % width, cut(part), cut(part + 1), scratch);
    }
  }

 private:
  Size vectors() const { return output_layout_.groups() * output_layout_.tiling.vectors(); }
  Size cut(Size part) const { return OutputCuts{outputs_, convolution_.groups, together_}.begin_of(part, parts_); }

  void vector(Buffers buffers, Size group, Size row, Size x, Size begin, Size end, float* scratch) const {
    SignTables tables{};
    const Size height = output_layout_.tiling.height;
    tables.input = buffers[input_] + convolution_.begin(input_layout_, group, row / height, row % height, x);
    tables.tables = scratch;
    TableSums sums{};
    sums.tables = scratch;
    sums.planes = planes_;
    sums.output_channel = output_layout_.channel_floats();
    sums.finish = finish_of(ending_);
    for (const TableBlock& block : blocks_) {
      const Size first = std::max(begin, block.first_output), last = std::min(end, block.last_output);
      if (first >= last) continue;
      tables.offsets = block.offsets.data();
      tables.inputs = static_cast<std::ptrdiff_t>(block.offsets.size());
      kernels_.tables(tables);
      sums.groups = block.tables();
      sums.entries = block.entries_from(first, planes_);
      sums.scales = scales_.data() + first * planes_;
      sums.output = buffers[output_] + output_layout_.at_row(group, row, first, x);
      sums.outputs = last - first;
      sums.bias = block.begins ? bias_.data() + first : nullptr;
      sums.last = block.finishes;
      if (ending_.residual >= 0) {
        sums.finish.residual = buffers[ending_.residual] + ending_.residual_layout.at_row(group, row, first, x);
        sums.finish.residual_channel = ending_.residual_layout.channel_floats();
      }
      kernels_.table_sums(sums);
    }
  }

  const Kernels& kernels_;
  Convolution convolution_;
  int planes_;
  Size outputs_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  std::vector<float> scales_, bias_;
  Size together_;  // outputs that kernels work on at a time
  std::vector<TableBlock> blocks_;
  Size parts_ = 1;
};

/// Pieces: blocks of 16 outputs, some at a time; each makes the tables anew, which costs little beside them.
class TableRowsStep final : public Step {
 public:
  TableRowsStep(const Kernels& kernels, const Constant& weight, const Constant* bias, Size rows, int input, int output,
                const Ending& ending)
      : kernels_(kernels),
        inputs_(weight.columns),
        outputs_(weight.rows),
        rows_(rows),
        groups_(ceil_divided(weight.columns, kTableInputs * kGroupsInCode) * kGroupsInCode),
        planes_(weight.planes),
        input_(input),
        output_(output),
        ending_(ending) {
    const Size blocks = ceil_divided(outputs_, kVector);
    bias_ = bias ? bias->dense() : std::vector<float>();
    bias_.resize(static_cast<std::size_t>(blocks * kVector));
    for (Size block = 0; block < blocks; ++block)
      for (int plane = 0; plane < planes_; ++plane) {
        for (Size lane = 0; lane < kVector; ++lane) {
          const Size row = block * kVector + lane;
          scales_.push_back(row < outputs_ ? weight.scales[static_cast<std::size_t>(row * planes_ + plane)] : 0.0f);
        }
        for (Size first = 0; first < groups_ * kTableInputs; first += kGroupsInCode * kTableInputs)
          for (Size lane = 0; lane < kVector; ++lane)
            codes_.push_back(code(weight, plane, block * kVector + lane, first));
      }
  }

  Size pieces() const override { return ceil_divided(ceil_divided(outputs_, kVector), kBlocksInPiece); }
  Size readers() const override { return pieces(); }
  Size scratch() const override { return groups_ * kTableEntries + groups_ * kTableInputs + kBlocksInPiece * kVector; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    float* const tables = scratch;
    float* const padded = tables + groups_ * kTableEntries;
    float* const sums = padded + groups_ * kTableInputs;
    for (Size row = 0; row < rows_; ++row) {
      std::copy_n(buffers[input_] + row * inputs_, inputs_, padded);
      std::fill(padded + inputs_, padded + groups_ * kTableInputs, 0.0f);
      kernels_.number_tables(padded, groups_, tables);
      for (Size piece = begin; piece < end; ++piece) {
        const Size first = piece * kBlocksInPiece, blocks = ceil_divided(outputs_, kVector);
        TableRows work{};
        work.tables = tables;
        work.groups = groups_;
        work.codes = codes_.data() + first * planes_ * (groups_ / kGroupsInCode) * kVector;
        work.scales = scales_.data() + first * planes_ * kVector;
        work.planes = planes_;
        work.bias = bias_.data() + first * kVector;
        work.output = sums;
        work.blocks = std::min(kBlocksInPiece, blocks - first);
        kernels_.table_rows(work);
        put(sums, buffers[output_] + row * outputs_ + first * kVector,
            std::min(outputs_ - first * kVector, work.blocks * kVector));
      }
    }
  }

 private:
  static constexpr Size kBlocksInPiece = 16;

  std::uint32_t code(const Constant& weight, int plane, Size row, Size first) const {
    std::uint32_t code = 0;
    for (Size group = 0; group < kGroupsInCode && row < outputs_; ++group) {
      const Size begin = std::min(first + group * kTableInputs, inputs_);
      code |= entry_of(weight, plane, row, begin, std::min(begin + kTableInputs, inputs_)) << (4 * group);
    }
    return code;
  }

  void put(const float* sums, float* output, Size count) const {
    for (Size i = 0; i < count; ++i) {
      float sum = sums[i];
      if (ending_.clips) {
        sum = ending_.low > sum ? ending_.low : sum;
        sum = ending_.high < sum ? ending_.high : sum;
      }
      output[i] = sum;
    }
  }

  const Kernels& kernels_;
  Size inputs_, outputs_, rows_, groups_;
  int planes_, input_, output_;
  Ending ending_;
  std::vector<float> scales_, bias_;
  std::vector<std::uint32_t> codes_;
};

}  // namespace

bool prefers_tables(const Constant& weight, Size groups) {
  return weight.form == Constant::Form::kPlanes && weight.planes <= kMostTablePlanes &&
         weight.rows / groups >= kFewestTableOutputs;
}

double table_cycles(const Convolution& convolution, const Layout& output) {
  const Constant& weight = *convolution.weight;
  const double vectors = static_cast<double>(output.groups() * output.tiling.vectors());
  const double tables = static_cast<double>(ceil_divided(weight.columns, kTableInputs));
  return vectors * tables *
         (kCyclesPerTable * static_cast<double>(convolution.groups) +
          kCyclesPerEntry * static_cast<double>(weight.planes) * static_cast<double>(weight.rows));
}

double table_rows_cycles(const Constant& weight, Size rows) {
  return static_cast<double>(rows) * 2.0 * static_cast<double>(weight.planes) *
         static_cast<double>(ceil_divided(weight.columns, kTableInputs) * ceil_divided(weight.rows, kVector));
}

std::unique_ptr<Step> make_table_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                             const Layout& input_layout, int output, const Layout& output_layout,
                                             const Ending& ending, int threads) {
  return std::make_unique<TableConvolution>(kernels, convolution, input, input_layout, output, output_layout, ending,
                                            threads);
}

std::unique_ptr<Step> make_table_rows(const Kernels& kernels, const Constant& weight, const Constant* bias, Size rows,
                                      int input, int output, const Ending& ending) {
  return std::make_unique<TableRowsStep>(kernels, weight, bias, rows, input, output, ending);
}

}  // namespace netsurgery
