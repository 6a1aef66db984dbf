#include "lanes/recurrent.hpp"

#include <algorithm>
#include <functional>

#include "lanes/picked_rows.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerGate = 3.0;
constexpr double kLeastOfPart = 4000;  // cycles of a step of time: a few times what it takes threads to meet

/// Floats of so many units in vectors.
Size in_vectors(Size units) { return PickedMatrix::sums(units); }

/// The rows of some units in every gate.
std::vector<Size> rows_of_gates(const Range& units, Size gates, Size size) {
  std::vector<Size> rows;
  for (Size first = 0; first < gates; first += size)
    for (Size row = first + units.begin; row < first + units.end; ++row) rows.push_back(row);
  return rows;
}

/// Of a sequence, between two steps: what units show, at this step and at the next, and the cells of an Lstm.
struct State {
  float *shown[2], *cell;

  static Size floats(const Recurrence& layer) { return 2 * in_vectors(layer.width) + in_vectors(layer.size); }
  State(float* at, const Recurrence& layer)
      : shown{at, at + in_vectors(layer.width)}, cell(at + 2 * in_vectors(layer.width)) {}
};

/// Pieces: the sequences; or, of each step of time, parts of the units of each sequence.
class RecurrentStep final : public Step {
 public:
  RecurrentStep(const Kernels& kernels, const Recurrence& layer, const RecurrentBuffers& buffers, Size count)
      : kernels_(kernels),
        layer_(layer),
        buffers_(buffers),
        nothing_(static_cast<std::size_t>(in_vectors(layer.width)), 0.0f) {
    if (layer.bias) bias_ = layer.bias->dense();
    if (layer.projection) projection_.emplace_back(kernels, *layer.projection);
    for (const Range& vectors :
         parts(in_vectors(layer.size) / kVector, ceil_divided(in_vectors(layer.size) / kVector, count))) {
      const Range units{vectors.begin * kVector, std::min(vectors.end * kVector, layer.size)};
      parts_.push_back({units, RowMatrix(kernels, layer.weight->rows_of(rows_of_gates(units, layer.gates, layer.size)),
                                         *layer.weight)});
    }
  }

  Size pieces() const override { return pieces_at_once() * (is_shared() ? layer_.time : 1); }
  Size pieces_at_once() const override { return layer_.batch * static_cast<Size>(parts_.size()); }
  Size scratch() const override {
    return floats_of_sums() + floats_of_products() + (is_shared() ? 0 : State::floats(layer_));
  }
  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    float* const sums = scratch;
    float* const own = sums + floats_of_sums() + floats_of_products();
    const Size count = static_cast<Size>(parts_.size());
    for (Size piece = begin; piece < end; ++piece) {
      const Size sequence = piece / count % layer_.batch;
      if (is_shared()) {
        const State state(buffers[buffers_.states] + sequence * State::floats(layer_), layer_);
        advance(buffers, sequence, piece / pieces_at_once(), parts_[static_cast<std::size_t>(piece % count)], state,
                sums);
      } else {
        const State state(own, layer_);
        for (Size step = 0; step < layer_.time; ++step) advance(buffers, sequence, step, parts_.front(), state, sums);
      }
    }
  }

 private:
  /// Some units, and the weights of their gates.
  struct Part {
    Range units;
    RowMatrix weight;
  };

  bool is_shared() const { return parts_.size() > 1; }
  Size floats_of_sums() const { return in_vectors(layer_.gates) + in_vectors(layer_.size); }
  Size floats_of_products() const { return PickedMatrix::scratch(std::max(layer_.gates, layer_.width), 1); }

  /// A step of time for a part of the units. sums: of their gates, with room behind for a vector of units
  /// and for products.
  void advance(Buffers buffers, Size sequence, Size step, const Part& part, const State& state, float* sums) const {
    const Size time = layer_.reverse ? layer_.time - 1 - step : step, first = part.units.begin;
    const float* const gates = buffers[buffers_.gates] + layer_.place(time, sequence, layer_.gates);
    float* const shown = state.shown[(step + 1) % 2];
    const float* const before = step > 0               ? state.shown[step % 2]
                                : buffers_.hidden >= 0 ? buffers[buffers_.hidden] + sequence * layer_.width
                                                       : nothing_.data();
    if (step == 0) {
      const float* const cell = buffers_.cell >= 0 ? buffers[buffers_.cell] + sequence * layer_.size : nullptr;
      if (cell)
        std::copy_n(cell + first, part.units.count(), state.cell + first);
      else
        std::fill_n(state.cell + first, part.units.count(), 0.0f);
    }
    begin_sums(gates, part.units, sums);
    part.weight.add_product(before, sums, sums + floats_of_sums(), step % 2 != 0);
    finish(gates, before, part.units, shown, state.cell, sums);
    // With a projection, all units are one part.
    const Size entries = projection_.empty() ? part.units.count() : layer_.width;
    if (buffers_.steps >= 0)
      std::copy_n(shown + first, entries, buffers[buffers_.steps] + layer_.place(time, sequence, layer_.width) + first);
    if (step + 1 < layer_.time) return;
    if (buffers_.last_hidden >= 0)
      std::copy_n(shown + first, entries, buffers[buffers_.last_hidden] + sequence * layer_.width + first);
    if (buffers_.last_cell >= 0)
      std::copy_n(state.cell + first, part.units.count(), buffers[buffers_.last_cell] + sequence * layer_.size + first);
  }

  /// What the input and the bias add to the gates of some units.
  void begin_sums(const float* gates, const Range& units, float* sums) const {
    // What the state adds to a Gru's candidate is scaled before the input's part comes to it.
    const Size together = layer_.gates - (layer_.op == Operator::kGru ? layer_.size : 0);
    for (Size gate = 0; gate < layer_.gates; gate += layer_.size, sums += units.count()) {
      const float* const bias = bias_.empty() ? nullptr : bias_.data() + gate + units.begin;
      const float* const given = gates + gate + units.begin;
      if (gate < together && bias)
        std::transform(given, given + units.count(), bias, sums, std::plus<float>());
      else if (gate < together || bias)
        std::copy_n(bias ? bias : given, units.count(), sums);
      else
        std::fill_n(sums, units.count(), 0.0f);
    }
  }

  /// From sums to what units show. gates, before, shown, cell: of all units.
  void finish(const float* gates, const float* before, const Range& units, float* shown, float* cell,
              float* sums) const {
    Cells cells{};
    cells.sums = sums;
    cells.size = units.count();
    cells.cell = cell + units.begin;
    cells.hidden = shown + units.begin;
    if (layer_.op == Operator::kLstm) {
      if (!projection_.empty()) cells.hidden = sums + in_vectors(layer_.gates);
      kernels_.lstm_cells(cells);
      if (projection_.empty()) return;
      std::fill_n(shown, layer_.width, 0.0f);
      projection_.front().add_product(cells.hidden, shown, sums + floats_of_sums(), false);
    } else if (layer_.op == Operator::kGru) {
      std::copy_n(before + units.begin, units.count(), cells.hidden);
      cells.candidate = gates + 2 * layer_.size + units.begin;
      kernels_.gru_cells(cells);
    } else if (layer_.functions[0].activation == Activation::kTanh) {
      kernels_.rnn_cells(cells);
    } else {
      for (Size i = 0; i < units.count(); ++i) cells.hidden[i] = sums[i] < 0.0f ? 0.0f : sums[i];
    }
  }

  const Kernels& kernels_;
  Recurrence layer_;
  RecurrentBuffers buffers_;
  std::vector<Part> parts_;
  std::vector<RowMatrix> projection_;  // one or none
  std::vector<float> bias_, nothing_;
};

}  // namespace

bool can_run_fast(const Recurrence& layer) {
  return layer.is_common() && layer.fixed_lengths.empty() && (layer.op != Operator::kGru || layer.reset_after);
}

Size recurrent_parts(const Kernels& kernels, const Recurrence& layer, int threads) {
  if (layer.projection || threads <= layer.batch) return 1;  // a projection sees all units
  const double steps = static_cast<double>(layer.time * layer.batch);
  const auto by_work = static_cast<Size>(recurrent_cycles(kernels, layer) / steps / kLeastOfPart);
  const Size by_threads = ceil_divided(threads, layer.batch);
  return std::clamp<Size>(std::min(by_work, by_threads), 1, in_vectors(layer.size) / kVector);
}

Size shared_states(const Recurrence& layer) { return layer.batch * State::floats(layer); }

std::unique_ptr<Step> make_recurrent(const Kernels& kernels, const Recurrence& layer, const RecurrentBuffers& buffers,
                                     Size parts) {
  return std::make_unique<RecurrentStep>(kernels, layer, buffers, parts);
}

double recurrent_cycles(const Kernels& kernels, const Recurrence& layer) {
  double step = RowMatrix::cycles(kernels, *layer.weight) + kCyclesPerGate * static_cast<double>(layer.gates);
  if (layer.projection) step += RowMatrix::cycles(kernels, *layer.projection);
  return step * static_cast<double>(layer.time * layer.batch);
}

}  // namespace netsurgery
