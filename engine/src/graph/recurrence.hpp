// A recurrent layer in one direction, as its node says it: what every way to run it needs to know.
#pragma once

#include <vector>

#include "graph/graph.hpp"

namespace netsurgery {

/// What the gates and states of a recurrent layer go through; Lstm, Gru and Rnn number them alike.
using Activation = LstmGateActivation;

constexpr bool is_recurrent(Operator op) {
  return op == Operator::kLstm || op == Operator::kGru || op == Operator::kRnn;
}

/// The operands of an Lstm, a Gru or an Rnn that aren't constants, in its node's inputs; kLeftOut where it has none.
struct RecurrentOperands {
  int lengths, hidden, cell;
};
RecurrentOperands recurrent_operands(Operator op);

struct Recurrence {
  struct Function {
    Activation activation;
    float alpha, beta;
  };

  Operator op;
  Size time, batch;
  Size gates;  // in a row of gates, in all: 4, 3 or 1 for each entry of the state
  Size size;   // H, of the state
  Size width;  // P, of what a step gives
  bool batch_first, reverse, coupled, reset_after;
  LstmResult result;
  float clip;
  std::vector<Function> functions;  // gate, candidate, output, as far as the operator has them
  std::vector<Size> fixed_lengths;  // of each sequence; none: of all of them `time`, or what the operand says
  const Constant *weight, *bias, *peepholes, *projection;  // the last three may be nullptr

  Recurrence(const Graph& graph, const Node& node, const Shape& gates_shape);

  /// Where the entries of a step begin, in a value of `entries` for each step of each sequence.
  Size place(Size step, Size sequence, Size entries) const {
    return (batch_first ? sequence * time + step : step * batch + sequence) * entries;
  }
  /// True if every function is the operator's default, without clipping, peepholes or coupled gates.
  bool is_common() const;
};

/// As output_shape, for these operators.
Shape recurrent_shape(Operator op, const std::vector<const Shape*>& operands, const Attributes& attributes);

}  // namespace netsurgery
