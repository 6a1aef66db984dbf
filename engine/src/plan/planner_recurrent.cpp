// Recurrent layers: one step for all results of a computation.
#include "lanes/recurrent.hpp"
#include "plan/planner.hpp"

namespace netsurgery {
namespace {

bool differ_in_result_alone(const Node& a, const Node& b) {
  if (a.op != b.op || a.inputs != b.inputs) return false;
  for (const AttributeEntry& attribute : entry_of(a.op).attributes) {
    const AttributeName name = attribute.name;
    const bool numbers = attribute.kind == AttributeKind::kFloat || attribute.kind == AttributeKind::kFloats;
    if (name == AttributeName::kResult) continue;
    if (numbers ? a.attributes.numbers(name) != b.attributes.numbers(name)
                : a.attributes.integers(name) != b.attributes.integers(name))
      return false;
  }
  return true;
}

}  // namespace

bool Planner::recurrent(const Node& node) {
  const Recurrence layer(graph_, node, shape(node.inputs[0]));
  const RecurrentOperands places = recurrent_operands(node.op);
  const auto operand = [&](int place) {
    const bool given = place >= 0 && static_cast<std::size_t>(place) < node.inputs.size();
    return given ? node.inputs[static_cast<std::size_t>(place)] : kLeftOut;
  };
  if (!can_run_fast(layer) || operand(places.lengths) != kLeftOut) return false;
  RecurrentBuffers buffers{};
  buffers.gates = plain(node.inputs[0]);
  std::vector<int> reads{buffers.gates}, writes;
  for (auto [place, buffer] : {std::pair{places.hidden, &buffers.hidden}, {places.cell, &buffers.cell}}) {
    if (operand(place) == kLeftOut) continue;
    *buffer = plain(operand(place));
    reads.push_back(*buffer);
  }
  for (const Node* other : readers_[static_cast<std::size_t>(node.inputs[0])]) {
    const auto number = static_cast<std::size_t>(other - nodes_.data());
    if (done_[number] || !differ_in_result_alone(node, *other)) continue;
    int* const written[] = {&buffers.steps, &buffers.last_hidden, &buffers.last_cell};
    int& buffer = *written[other->attributes.integer(AttributeName::kResult)];
    if (buffer < 0) {
      buffer = arena(product(shape(other->output)));
      writes.push_back(buffer);
    }
    value(other->output).plain = buffer;
    done_[number] = true;
  }
  const Size parts = recurrent_parts(kernels_, layer, options_.threads);
  if (parts > 1) {
    buffers.states = arena(shared_states(layer));
    writes.push_back(buffers.states);
  }
  const Size useful = (layer.weight->kept + (layer.projection ? layer.projection->kept : 0)) * layer.time * layer.batch;
  draft(
      &node, "recurrent rows", reads, writes, recurrent_cycles(kernels_, layer),
      [=] { return make_recurrent(kernels_, layer, buffers, parts); }, useful);
  return true;
}

}  // namespace netsurgery
