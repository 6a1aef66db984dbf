#include "lanes/recurrent.hpp"

#include <algorithm>

#include "lanes/picked_rows.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerGate = 3.0;

/// Pieces: the sequences.
class RecurrentStep final : public Step {
 public:
  RecurrentStep(const Kernels& kernels, const Recurrence& layer, const RecurrentBuffers& buffers)
      : kernels_(kernels), layer_(layer), buffers_(buffers), weight_(kernels, *layer.weight) {
    if (layer.bias) bias_ = layer.bias->dense();
    if (layer.projection) projection_.emplace_back(kernels, *layer.projection);
  }

  Size pieces() const override { return layer_.batch; }
  Size scratch() const override {
    return PickedMatrix::sums(layer_.gates) + 2 * PickedMatrix::sums(layer_.size) + PickedMatrix::sums(layer_.width);
  }
  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    for (Size sequence = begin; sequence < end; ++sequence) one(buffers, sequence, scratch);
  }

 private:
  /// The whole of a sequence.
  void one(Buffers buffers, Size sequence, float* scratch) const {
    float* sums = scratch;
    float* cell = sums + PickedMatrix::sums(layer_.gates);
    float* shown = cell + PickedMatrix::sums(layer_.size);
    float* hidden = shown + PickedMatrix::sums(layer_.size);
    begin_with(buffers, buffers_.hidden, sequence, layer_.width, hidden);
    begin_with(buffers, buffers_.cell, sequence, layer_.size, cell);
    Cells cells{};
    cells.sums = sums;
    cells.size = layer_.size;
    cells.cell = cell;
    cells.hidden = projection_.empty() ? hidden : shown;
    const float* gates = buffers[buffers_.gates];
    for (Size step = 0; step < layer_.time; ++step) {
      const Size time = layer_.reverse ? layer_.time - 1 - step : step;
      advance(gates + layer_.place(time, sequence, layer_.gates), hidden, cells, sums);
      if (buffers_.steps >= 0)
        std::copy_n(hidden, layer_.width, buffers[buffers_.steps] + layer_.place(time, sequence, layer_.width));
    }
    if (buffers_.last_hidden >= 0)
      std::copy_n(hidden, layer_.width, buffers[buffers_.last_hidden] + sequence * layer_.width);
    if (buffers_.last_cell >= 0) std::copy_n(cell, layer_.size, buffers[buffers_.last_cell] + sequence * layer_.size);
  }

  static void begin_with(Buffers buffers, int from, Size sequence, Size entries, float* to) {
    if (from >= 0)
      std::copy_n(buffers[from] + sequence * entries, entries, to);
    else
      std::fill_n(to, entries, 0.0f);
  }

  void advance(const float* gates, float* hidden, Cells& cells, float* sums) const {
    // What the state adds to a Gru's candidate is scaled before the input's part comes to it.
    const Size apart = layer_.op == Operator::kGru ? layer_.size : 0, together = layer_.gates - apart;
    if (bias_.empty()) {
      std::copy_n(gates, together, sums);
      std::fill_n(sums + together, apart, 0.0f);
    } else {
      for (Size i = 0; i < together; ++i) sums[i] = gates[i] + bias_[static_cast<std::size_t>(i)];
      std::copy_n(bias_.data() + together, apart, sums + together);
    }
    weight_.add_product(hidden, sums);
    if (layer_.op == Operator::kLstm) {
      kernels_.lstm_cells(cells);
      if (projection_.empty()) return;
      std::fill_n(hidden, layer_.width, 0.0f);
      projection_.front().add_product(cells.hidden, hidden);
    } else if (layer_.op == Operator::kGru) {
      cells.candidate = gates + together;
      kernels_.gru_cells(cells);
    } else if (layer_.functions[0].activation == Activation::kTanh) {
      kernels_.rnn_cells(cells);
    } else {
      for (Size i = 0; i < layer_.size; ++i) hidden[i] = sums[i] < 0.0f ? 0.0f : sums[i];
    }
  }

  const Kernels& kernels_;
  Recurrence layer_;
  RecurrentBuffers buffers_;
  RowMatrix weight_;
  std::vector<RowMatrix> projection_;  // one or none
  std::vector<float> bias_;
};

}  // namespace

bool can_run_fast(const Recurrence& layer) {
  return layer.is_common() && layer.fixed_lengths.empty() && (layer.op != Operator::kGru || layer.reset_after);
}

std::unique_ptr<Step> make_recurrent(const Kernels& kernels, const Recurrence& layer, const RecurrentBuffers& buffers) {
  return std::make_unique<RecurrentStep>(kernels, layer, buffers);
}

double recurrent_cycles(const Kernels& kernels, const Recurrence& layer) {
  double step = RowMatrix::cycles(kernels, *layer.weight) + kCyclesPerGate * static_cast<double>(layer.gates);
  if (layer.projection) step += RowMatrix::cycles(kernels, *layer.projection);
  return step * static_cast<double>(layer.time * layer.batch);
}

}  // namespace netsurgery
