#include <algorithm>

#include "base/error.hpp"
#include "plan/plan.hpp"

namespace netsurgery {
namespace {

/// Of every value: is it a constant, or made of such alone?
std::vector<bool> fixed_values(const Graph& graph) {
  std::vector<bool> fixed(graph.inputs.size() + graph.nodes.size() + graph.constants.size(), false);
  std::fill(fixed.begin() + graph.first_constant(), fixed.end(), true);
  for (const Node& node : graph.nodes)
    fixed[static_cast<std::size_t>(node.output)] = std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
      return input == kLeftOut || fixed[static_cast<std::size_t>(input)];
    });
  return fixed;
}

/// Whether a node keeps images apart, its operands' first axis being theirs where they aren't constants.
/// fixed: is a value the same in every run?
bool keeps_apart(const Node& node, const std::vector<Shape>& shapes, const std::vector<bool>& fixed) {
  const auto is_fixed = [&](int input) { return fixed[static_cast<std::size_t>(input)]; };
  const auto shape = [&](std::size_t operand) -> const Shape& {
    return shapes[static_cast<std::size_t>(node.inputs[operand])];
  };
  switch (entry_of(node.op).images) {
    case Images::kTogether:
      return false;
    case Images::kApart:
      return true;
    case Images::kApartInMatrices:
      return shape(0).size() >= 2;
    case Images::kApartInBroadcasts: {
      const std::size_t rank = shapes[static_cast<std::size_t>(node.output)].size();
      return std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
        const Shape& given = shapes[static_cast<std::size_t>(input)];
        return is_fixed(input) ? given.size() < rank || given.front() == 1 : given.size() == rank;
      });
    }
    case Images::kApartInProducts: {
      const bool a = is_fixed(node.inputs[0]), b = is_fixed(node.inputs[1]);
      if (b) return !a && shape(0).size() >= 2 && shape(1).size() <= 2;
      return !a && shape(0).size() >= 3 && shape(0).size() == shape(1).size();
    }
    case Images::kApartBehindAxis: {
      const bool joins = entry_of(node.op).variadic();
      return node.attributes.integer(AttributeName::kAxis) > 0 &&
             !(joins && std::any_of(node.inputs.begin(), node.inputs.end(), is_fixed));
    }
    case Images::kApartOutsideAxes: {
      const std::vector<Size>& axes = node.attributes.integers(AttributeName::kAxes);
      return std::find(axes.begin(), axes.end(), 0) == axes.end();
    }
    case Images::kApartInOrder:
      return node.attributes.integers(AttributeName::kOrder).front() == 0;
    case Images::kApartUnpadded: {
      const std::vector<Size> pads = node.attributes.filled(AttributeName::kPads, 2 * shape(0).size(), 0);
      return pads[0] == 0 && pads[shape(0).size()] == 0;
    }
  }
  return false;
}

}  // namespace

std::size_t separable_axis(const Graph& graph) {
  if (graph.axes.empty() || graph.inputs.front().shape.empty() || !is_open(graph.inputs.front().shape.front()))
    return kNoAxis;
  const std::size_t axis = axis_of(graph.inputs.front().shape.front());
  // Two sizes of it, the others staying as they are: a size that is both of them in turn is the axis.
  if (graph.axes[axis].least > 1) return kNoAxis;  // something needs several images at once
  Sizes sizes = graph.tried_sizes().back();        // where those of the other axes are neither 1 nor any of these two
  const Size one_size = 2, other_size = 3;
  std::vector<Shape> one, other;
  try {
    sizes[axis] = one_size;
    one = graph.shapes(sizes);
    sizes[axis] = other_size;
    other = graph.shapes(sizes);
  } catch (const Error&) {  // it runs at other sizes only
    return kNoAxis;
  }
  const std::size_t values = static_cast<std::size_t>(graph.first_constant());
  const std::vector<bool> fixed = fixed_values(graph);
  for (const int output : graph.outputs)
    if (fixed[static_cast<std::size_t>(output)]) return kNoAxis;  // each part would give all of it
  for (std::size_t i = 0; i < values; ++i) {
    if (fixed[i]) continue;
    if (one[i].empty() || one[i].front() != one_size || other[i].front() != other_size) return kNoAxis;
    if (!std::equal(one[i].begin() + 1, one[i].end(), other[i].begin() + 1, other[i].end())) return kNoAxis;
  }
  const bool apart = std::all_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return fixed[static_cast<std::size_t>(node.output)] || keeps_apart(node, one, fixed);
  });
  return apart ? axis : kNoAxis;
}

}  // namespace netsurgery
