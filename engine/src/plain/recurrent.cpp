// Lstm, Gru, Rnn with every attribute: one sequence after another, step by step.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "graph/recurrence.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/weights.hpp"

namespace netsurgery::plain {
namespace {

float sigmoid(float x) { return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x)))); }

float hyperbolic_tangent(float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); }

float applied(const Recurrence::Function& function, float x) {
  const float alpha = function.alpha, beta = function.beta;
  switch (function.activation) {
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kTanh:
      return hyperbolic_tangent(x);
    case Activation::kRelu:
      return x < 0.0f ? 0.0f : x;
    case Activation::kAffine:
      return alpha * x + beta;
    case Activation::kLeakyRelu:
      return x < 0.0f ? alpha * x : x;
    case Activation::kThresholdedRelu:
      return x <= alpha ? 0.0f : x;
    case Activation::kScaledTanh:
      return alpha * hyperbolic_tangent(beta * x);
    case Activation::kHardSigmoid:
      return std::min(std::max(alpha * x + beta, 0.0f), 1.0f);
    case Activation::kElu:
      return x < 0.0f ? alpha * std::expm1(x) : x;
    case Activation::kSoftsign:
      return x / (1.0f + std::fabs(x));
    case Activation::kSoftplus:
      return std::max(x, 0.0f) + std::log1p(std::exp(-std::fabs(x)));
  }
  return x;
}

class Recurrent final : public PlainKernel {
 public:
  explicit Recurrent(const Making& making)
      : layer_(making.graph, making.node, making.operands[0]),
        places_(recurrent_operands(making.node.op)),
        weight_(*layer_.weight),
        bias_(dense_or(layer_.bias, layer_.gates, 0.0f)),
        inputs_(making.node.inputs.size()) {
    if (layer_.peepholes) peepholes_ = layer_.peepholes->dense();
    if (layer_.projection) projection_.emplace_back(*layer_.projection);
    const int lengths = operand(making.node.inputs, places_.lengths);
    long_lengths_ = lengths != kLeftOut && making.type(static_cast<std::size_t>(places_.lengths)) == ValueType::kInt64;
  }
  Size pieces() const override { return layer_.batch; }
  Size scratch() const override { return 2 * layer_.gates + 3 * layer_.size + 2 * layer_.width; }
  Size cost() const override {
    return layer_.batch * layer_.time * (static_cast<Size>(weight_.values.size()) + 10 * layer_.gates);
  }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    for (Size sequence = begin; sequence < end; ++sequence) one(inputs, output, sequence, scratch);
  }

 private:
  struct Scratch {
    float *sums, *recurrent, *cell, *shown, *mixed, *hidden, *next;
  };

  static int operand(const std::vector<int>& inputs, int place) {
    return place >= 0 && static_cast<std::size_t>(place) < inputs.size() ? inputs[static_cast<std::size_t>(place)]
                                                                         : kLeftOut;
  }
  const float* given(const float* const* inputs, int place) const {
    return place >= 0 && static_cast<std::size_t>(place) < inputs_ ? inputs[place] : nullptr;
  }

  Size length(const float* const* inputs, Size sequence) const {
    Size length = layer_.time;
    if (const float* lengths = given(inputs, places_.lengths))
      length = long_lengths_ ? static_cast<Size>(reinterpret_cast<const std::int64_t*>(lengths)[sequence])
                             : static_cast<Size>(reinterpret_cast<const std::int32_t*>(lengths)[sequence]);
    else if (!layer_.fixed_lengths.empty())
      length = layer_.fixed_lengths[static_cast<std::size_t>(sequence)];
    return std::clamp<Size>(length, 0, layer_.time);  // sessions refuse others; who changes them meanwhile harms nobody
  }

  void one(const float* const* inputs, float* output, Size sequence, float* memory) const {
    Scratch at{};
    for (auto [pointer, floats] : {std::pair{&at.sums, layer_.gates},
                                   {&at.recurrent, layer_.gates},
                                   {&at.cell, layer_.size},
                                   {&at.shown, layer_.size},
                                   {&at.mixed, layer_.size},
                                   {&at.hidden, layer_.width},
                                   {&at.next, layer_.width}}) {
      *pointer = memory;
      memory += floats;
    }
    begin_with(given(inputs, places_.hidden), sequence, layer_.width, at.hidden);
    begin_with(given(inputs, places_.cell), sequence, layer_.size, at.cell);
    const Size count = length(inputs, sequence);
    for (Size step = 0; step < count; ++step) {
      const Size time = layer_.reverse ? count - 1 - step : step;
      advance(inputs[0] + layer_.place(time, sequence, layer_.gates), at);
      if (layer_.result == LstmResult::kSteps)
        std::copy_n(at.hidden, layer_.width, output + layer_.place(time, sequence, layer_.width));
    }
    if (layer_.result == LstmResult::kSteps) {
      for (Size time = count; time < layer_.time; ++time)
        std::fill_n(output + layer_.place(time, sequence, layer_.width), layer_.width, 0.0f);
    } else if (layer_.result == LstmResult::kHidden) {
      std::copy_n(at.hidden, layer_.width, output + sequence * layer_.width);
    } else {
      std::copy_n(at.cell, layer_.size, output + sequence * layer_.size);
    }
  }

  static void begin_with(const float* state, Size sequence, Size entries, float* to) {
    if (state)
      std::copy_n(state + sequence * entries, entries, to);
    else
      std::fill_n(to, entries, 0.0f);
  }

  float through(std::size_t function, float x) const {
    return applied(layer_.functions[function], x > layer_.clip ? layer_.clip : x < -layer_.clip ? -layer_.clip : x);
  }

  /// y += rows begin .. end - 1 of a weight times x.
  static void multiply(const SparseRows& weight, Size begin, Size end, const float* x, float* y) {
    for (Size row = begin; row < end; ++row) {
      float sum = 0.0f;
      const auto r = static_cast<std::size_t>(row);
      for (std::size_t i = weight.starts[r]; i < weight.starts[r + 1]; ++i)
        sum += weight.values[i] * x[weight.columns[i]];
      y[row] += sum;
    }
  }

  /// One step of a sequence. x: its gates.
  void advance(const float* x, const Scratch& at) const {
    std::copy(bias_.begin(), bias_.end(), at.recurrent);
    if (layer_.op == Operator::kGru) return gated(x, at);
    multiply(weight_, 0, layer_.gates, at.hidden, at.recurrent);
    for (Size i = 0; i < layer_.gates; ++i) at.sums[i] = x[i] + at.recurrent[i];
    if (layer_.op == Operator::kRnn) {
      for (Size i = 0; i < layer_.size; ++i) at.hidden[i] = through(0, at.sums[i]);
      return;
    }
    long_short(at);
  }

  void long_short(const Scratch& at) const {
    const Size size = layer_.size;
    const float *i = at.sums, *f = i + size, *g = f + size, *o = g + size;
    for (Size k = 0; k < size; ++k) {
      const auto peephole = [&](Size which, float memory) {
        return peepholes_.empty() ? 0.0f : peepholes_[static_cast<std::size_t>(which * size + k)] * memory;
      };
      const float before = at.cell[k];
      const float entering = through(0, i[k] + peephole(0, before));
      const float staying = layer_.coupled ? 1.0f - entering : through(0, f[k] + peephole(1, before));
      const float after = staying * before + entering * through(1, g[k]);
      at.cell[k] = after;
      at.shown[k] = through(0, o[k] + peephole(2, after)) * applied(layer_.functions[2], after);
    }
    if (projection_.empty()) {
      std::copy_n(at.shown, size, at.hidden);
      return;
    }
    std::fill_n(at.hidden, layer_.width, 0.0f);
    multiply(projection_.front(), 0, layer_.width, at.shown, at.hidden);
  }

  void gated(const float* x, const Scratch& at) const {
    const Size size = layer_.size;
    multiply(weight_, 0, 2 * size, at.hidden, at.recurrent);
    for (Size k = 0; k < 2 * size; ++k) at.sums[k] = through(0, x[k] + at.recurrent[k]);
    const float *reset = at.sums, *update = at.sums + size;
    const float* read = at.hidden;
    if (!layer_.reset_after) {
      for (Size k = 0; k < size; ++k) at.mixed[k] = reset[k] * at.hidden[k];
      read = at.mixed;
    }
    multiply(weight_, 2 * size, 3 * size, read, at.recurrent);
    for (Size k = 0; k < size; ++k) {
      const float recurrent = at.recurrent[2 * size + k];
      const float candidate = through(1, x[2 * size + k] + (layer_.reset_after ? reset[k] * recurrent : recurrent));
      at.next[k] = (1.0f - update[k]) * candidate + update[k] * at.hidden[k];
    }
    std::copy_n(at.next, size, at.hidden);
  }

  Recurrence layer_;
  RecurrentOperands places_;
  SparseRows weight_;
  std::vector<float> bias_, peepholes_;
  std::vector<SparseRows> projection_;  // one or none
  std::size_t inputs_;
  bool long_lengths_ = false;
};

Kernel recurrent(const Making& making) { return std::make_unique<Recurrent>(making); }

}  // namespace

Kernel make_lstm(const Making& making) { return recurrent(making); }

Kernel make_gru(const Making& making) { return recurrent(making); }

Kernel make_rnn(const Making& making) { return recurrent(making); }

}  // namespace netsurgery::plain
