// Linear: rows of x times rows of the weight, without the weights that are 0.
//
// Every sum runs over the row's weights in the same order, in kChains sums by turns, so that a result depends neither
// on the rows that are computed beside it nor on the split.
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/weights.hpp"

namespace netsurgery::plain {
namespace {

constexpr Size kChains = 4;
constexpr Size kLanes = 8;  // rows of x that are multiplied together, transposed in scratch memory

class Linear final : public PlainKernel {
 public:
  explicit Linear(const Making& making)
      : weight_(*making.constant(1)),
        outputs_(making.output.back()),
        inputs_(making.operands[0].back()),
        rows_(entries(making.output) / outputs_),
        blocks_(rows_ >= kLanes / 2 ? quotient_up(rows_, kLanes) : 0),
        parts_(blocks_ > 0 ? blocks_ : rows_, outputs_, outputs_each()) {
    if (const Constant* bias = making.constant(2)) bias_ = bias->dense();
    bias_.resize(static_cast<std::size_t>(outputs_), 0.0f);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return blocks_ > 0 ? inputs_ * kLanes : 0; }
  Size cost() const override { return rows_ * static_cast<Size>(weight_.values.size()) + rows_ * outputs_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    Size ready = -1;
    parts_.each(begin, end, [&](Size part, Size from, Size to) {
      if (blocks_ == 0) {
        multiply(inputs[0] + part * inputs_, from, to, output + part * outputs_);
        return;
      }
      const Size first = part * kLanes, count = std::min(kLanes, rows_ - first);
      if (ready != part) transpose(inputs[0] + first * inputs_, count, scratch);
      ready = part;
      multiply_block(scratch, count, from, to, output + first * outputs_);
    });
  }

 private:
  /// Outputs of a piece: enough work to be handed out, and to pay for transposing x again.
  Size outputs_each() const {
    const Size rows = blocks_ > 0 ? kLanes : 1;
    const Size weights = static_cast<Size>(weight_.values.size()) / outputs_ + 1;
    return std::max(4 * kPieceEntries / (weights * rows), blocks_ > 0 ? 4 * inputs_ / weights : 0);
  }

  /// x: inputs -> y: outputs.
  void multiply(const float* __restrict x, Size from, Size to, float* __restrict y) const {
    const float* __restrict values = weight_.values.data();
    const std::uint32_t* __restrict columns = weight_.columns.data();
    for (Size o = from; o < to; ++o) {
      float chains[kChains] = {};
      std::size_t i = weight_.starts[static_cast<std::size_t>(o)];
      const std::size_t end = weight_.starts[static_cast<std::size_t>(o) + 1];
      for (; i + kChains <= end; i += kChains)
        for (std::size_t c = 0; c < kChains; ++c) chains[c] += values[i + c] * x[columns[i + c]];
      for (std::size_t c = 0; i + c < end; ++c) chains[c] += values[i + c] * x[columns[i + c]];
      y[o] = (chains[0] + chains[1]) + (chains[2] + chains[3]) + bias_[static_cast<std::size_t>(o)];
    }
  }

  /// x: (inputs, kLanes) -> y: (count, outputs).
  void multiply_block(const float* __restrict x, Size count, Size from, Size to, float* __restrict y) const {
    const float* __restrict values = weight_.values.data();
    const std::uint32_t* __restrict columns = weight_.columns.data();
    for (Size o = from; o < to; ++o) {
      float chains[kChains][kLanes] = {};
      std::size_t i = weight_.starts[static_cast<std::size_t>(o)];
      const std::size_t end = weight_.starts[static_cast<std::size_t>(o) + 1];
      for (; i + kChains <= end; i += kChains)
        for (std::size_t c = 0; c < kChains; ++c)
          add(values[i + c], x + columns[i + c] * std::size_t{kLanes}, chains[c]);
      for (std::size_t c = 0; i + c < end; ++c) add(values[i + c], x + columns[i + c] * std::size_t{kLanes}, chains[c]);
      const float bias = bias_[static_cast<std::size_t>(o)];
      for (Size lane = 0; lane < count; ++lane)
        y[lane * outputs_ + o] = (chains[0][lane] + chains[1][lane]) + (chains[2][lane] + chains[3][lane]) + bias;
    }
  }

  static void add(float value, const float* __restrict x, float* __restrict sums) {
    for (Size lane = 0; lane < kLanes; ++lane) sums[lane] += value * x[lane];
  }

  /// (count, inputs) -> (inputs, kLanes), 0 in the lanes that are over.
  void transpose(const float* __restrict x, Size count, float* __restrict y) const {
    for (Size lane = 0; lane < kLanes; ++lane)
      for (Size i = 0; i < inputs_; ++i) y[i * kLanes + lane] = lane < count ? x[lane * inputs_ + i] : 0.0f;
  }

  SparseRows weight_;
  std::vector<float> bias_;
  Size outputs_, inputs_, rows_, blocks_;
  Parts parts_;
};

}  // namespace

Kernel make_linear(const Making& making) { return std::make_unique<Linear>(making); }

}  // namespace netsurgery::plain
