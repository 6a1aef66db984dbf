#include "graph/recurrence.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"
#include "base/sentences.hpp"

namespace netsurgery {
namespace {

using Name = AttributeName;

static_assert(std::size(operator_tables::kLstmGateActivationChoices) ==
                  std::size(operator_tables::kGruGateActivationChoices) &&
              std::size(operator_tables::kLstmGateActivationChoices) ==
                  std::size(operator_tables::kRnnCandidateActivationChoices));
static_assert(static_cast<int>(LstmResult::kHidden) == static_cast<int>(GruResult::kHidden) &&
              static_cast<int>(LstmResult::kHidden) == static_cast<int>(RnnResult::kHidden));

[[noreturn]] void refuse(const std::string& sentence) { throw Error(NS_ERROR_FILE, sentence); }

Size gates_of(Operator op) { return op == Operator::kLstm ? 4 : op == Operator::kGru ? 3 : 1; }

struct Parameters {
  float alpha, beta;
};

/// Where nothing is said, as in netsurgery/graph/operators/recurrent.py.
Parameters default_of(Activation activation) {
  switch (activation) {
    case Activation::kAffine:
    case Activation::kThresholdedRelu:
    case Activation::kElu:
      return {1.0f, 0.0f};
    case Activation::kLeakyRelu:
      return {0.01f, 0.0f};
    case Activation::kScaledTanh:
      return {1.0f, 1.0f};
    case Activation::kHardSigmoid:
      return {0.2f, 0.5f};
    default:
      return {0.0f, 0.0f};
  }
}

std::vector<Name> activations_of(Operator op) {
  if (op == Operator::kLstm) return {Name::kGateActivation, Name::kCandidateActivation, Name::kCellActivation};
  if (op == Operator::kGru) return {Name::kGateActivation, Name::kCandidateActivation};
  return {Name::kCandidateActivation};
}

void require_shape(const char* name, const Shape* given, const Shape& wanted) {
  if (given && *given != wanted)
    refuse(std::string(name) + " has shape " + text_of(*given) + ", " + text_of(wanted) + " is needed.");
}

template <class Number>
void require_parameters(const char* name, const std::vector<Number>& given, std::size_t count) {
  if (!given.empty() && given.size() != count)
    refuse(std::string(name) + "=" + text_of(given) + " has " + std::to_string(given.size()) + " numbers, " +
           std::to_string(count) + " are needed.");
}

}  // namespace

RecurrentOperands recurrent_operands(Operator op) {
  if (op == Operator::kLstm) return {5, 6, 7};
  return {3, 4, kLeftOut};
}

Recurrence::Recurrence(const Graph& graph, const Node& node, const Shape& gates_shape)
    : op(node.op),
      batch_first(node.attributes.flag(Name::kBatchFirst)),
      reverse(node.attributes.flag(Name::kReverse)),
      coupled(op == Operator::kLstm && node.attributes.flag(Name::kCoupled)),
      reset_after(op == Operator::kGru && node.attributes.flag(Name::kResetAfter)),
      result(node.attributes.choice<LstmResult>(Name::kResult)),
      clip(node.attributes.number(Name::kClip)),
      fixed_lengths(node.attributes.integers(Name::kFixedLengths)) {
  const auto constant = [&](std::size_t place) -> const Constant* {
    if (place >= node.inputs.size() || node.inputs[place] == kLeftOut) return nullptr;
    return &graph.constant(node.inputs[place]);
  };
  weight = constant(1);
  bias = constant(2);
  peepholes = op == Operator::kLstm ? constant(3) : nullptr;
  projection = op == Operator::kLstm ? constant(4) : nullptr;
  time = gates_shape[batch_first ? 1 : 0];
  batch = gates_shape[batch_first ? 0 : 1];
  gates = gates_shape[2];
  size = gates / gates_of(op);
  width = weight->columns;
  const std::vector<float>&alphas = node.attributes.numbers(Name::kAlphas),
        &betas = node.attributes.numbers(Name::kBetas);
  for (const Name name : activations_of(op)) {
    const auto activation = node.attributes.choice<Activation>(name);
    const Parameters standard = default_of(activation);
    const std::size_t place = functions.size();
    functions.push_back(
        {activation, alphas.empty() ? standard.alpha : alphas[place], betas.empty() ? standard.beta : betas[place]});
  }
}

bool Recurrence::is_common() const {
  if (std::isfinite(clip) || peepholes || coupled) return false;
  const auto is = [&](std::size_t place, Activation activation) { return functions[place].activation == activation; };
  if (op == Operator::kRnn) return is(0, Activation::kTanh) || is(0, Activation::kRelu);
  return is(0, Activation::kSigmoid) && is(1, Activation::kTanh) && (op == Operator::kGru || is(2, Activation::kTanh));
}

Shape recurrent_shape(Operator op, const std::vector<const Shape*>& operands, const Attributes& attributes) {
  const auto operand = [&](std::size_t place) { return place < operands.size() ? operands[place] : nullptr; };
  const Shape &gates = *operands[0], &weight = *operands[1];
  const Size each = gates_of(op);
  if (gates.size() != 3 || gates[2] % each != 0)
    refuse("gates have shape " + text_of(gates) + "; three sizes are needed, the last one a multiple of " +
           std::to_string(each) + ".");
  const Size size = gates[2] / each;
  const bool projects = op == Operator::kLstm && operand(4);
  if (weight.size() != 2 || weight[0] != gates[2] || (weight[1] != size && !projects))
    refuse("weight has shape " + text_of(weight) + ", (" + std::to_string(gates[2]) + ", " +
           (projects ? "P" : std::to_string(size)) + ") is needed.");
  require_shape("bias", operand(2), {gates[2]});
  const std::size_t count = activations_of(op).size();
  require_parameters("alphas", attributes.numbers(Name::kAlphas), count);
  require_parameters("betas", attributes.numbers(Name::kBetas), count);
  const bool batch_first = attributes.flag(Name::kBatchFirst);
  const Size batch = gates[batch_first ? 0 : 1], time = gates[batch_first ? 1 : 0];
  const std::vector<Size>& lengths = attributes.integers(Name::kFixedLengths);
  if (!lengths.empty() &&
      (static_cast<Size>(lengths.size()) != batch || *std::max_element(lengths.begin(), lengths.end()) > time))
    refuse("fixed_lengths=" + text_of(lengths) + " must be one for each of " + std::to_string(batch) +
           " sequences, none longer than gates.");
  if (!(attributes.number(Name::kClip) >= 0))
    refuse("clip=" + text_of(std::vector<float>{attributes.number(Name::kClip)}) + " must be 0 or more.");
  const Size width = weight[1];
  if (op == Operator::kLstm) {
    require_shape("peepholes", operand(3), {3, size});
    require_shape("projection", operand(4), {width, size});
  }
  const RecurrentOperands places = recurrent_operands(op);
  require_shape("lengths", operand(static_cast<std::size_t>(places.lengths)), {batch});
  require_shape("hidden", operand(static_cast<std::size_t>(places.hidden)), {batch, width});
  if (places.cell != kLeftOut) require_shape("cell", operand(static_cast<std::size_t>(places.cell)), {batch, size});
  switch (attributes.choice<LstmResult>(Name::kResult)) {
    case LstmResult::kSteps:
      return {gates[0], gates[1], width};
    case LstmResult::kHidden:
      return {batch, width};
    case LstmResult::kCell:
      break;
  }
  return {batch, size};
}

}  // namespace netsurgery
