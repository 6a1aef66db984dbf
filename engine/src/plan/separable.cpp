#include <algorithm>

#include "base/error.hpp"
#include "plan/plan.hpp"

namespace netsurgery {
namespace {

/// Whether a node keeps images apart, its operands' first axis being theirs where they aren't the same for all images.
bool keeps_apart(const std::vector<bool>& shared, const Node& node, const std::vector<Shape>& shapes) {
  const auto is_shared = [&](int value) { return shared[static_cast<std::size_t>(value)]; };
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
        return is_shared(input) ? given.size() < rank || given.front() == 1 : given.size() == rank;
      });
    }
    case Images::kApartInProducts: {
      const bool a = is_shared(node.inputs[0]), b = is_shared(node.inputs[1]);
      if (b) return !a && shape(0).size() >= 2 && shape(1).size() <= 2;
      return !a && shape(0).size() >= 3 && shape(0).size() == shape(1).size();
    }
    case Images::kApartBehindAxis: {
      // What is the same for all images has entries for its own places along the first axis, if it has as many axes.
      const std::size_t rank = shapes[static_cast<std::size_t>(node.output)].size();
      return node.attributes.integer(AttributeName::kAxis) > 0 &&
             std::none_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
               return input != kLeftOut && is_shared(input) && shapes[static_cast<std::size_t>(input)].size() >= rank;
             });
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

/// Do numbers of the node's attributes follow the axis of the images?
bool follows(const Graph& graph, const Node& node, std::size_t axis) {
  const std::vector<int> extents = node.extents();
  return std::any_of(extents.begin(), extents.end(),
                     [&](int extent) { return graph.extents[static_cast<std::size_t>(extent)].follows(axis); });
}

/// The values that are the same for all images: constants, and what is made of such without a look at the images.
std::vector<bool> shared_values(const Graph& graph, std::size_t axis) {
  const auto first = static_cast<std::size_t>(graph.first_constant());
  std::vector<bool> shared(first + graph.constants.size(), false);
  std::fill(shared.begin() + static_cast<std::ptrdiff_t>(first), shared.end(), true);
  for (const Node& node : graph.nodes)
    shared[static_cast<std::size_t>(node.output)] =
        !follows(graph, node, axis) && std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
          return input == kLeftOut || shared[static_cast<std::size_t>(input)];
        });
  return shared;
}

/// Operators of which only the shape of the output follows from their numbers.
bool only_shapes_follow(const Node& node) {
  const Images images = entry_of(node.op).images;
  return images == Images::kApart || images == Images::kApartInBroadcasts;
}

}  // namespace

std::size_t separable_axis(const Graph& graph) {
  if (graph.axes.empty() || graph.inputs.front().shape.empty() || !is_open(graph.inputs.front().shape.front()))
    return kNoAxis;
  const std::size_t axis = axis_of(graph.inputs.front().shape.front());
  // Two sizes of it, the others staying as they are: a size that is both of them in turn is the axis.
  if (graph.axes[axis].least > 1 || graph.axes[axis].step > 1)
    return kNoAxis;                          // something needs several images at once
  Sizes sizes = graph.tried_sizes().back();  // where those of the other axes are neither 1 nor any of these two
  const Size one_size = 2, other_size = 3;
  std::vector<Shape> one, other;
  std::vector<Node> nodes;
  try {
    sizes[axis] = one_size;
    one = graph.shapes(sizes);
    nodes = graph.nodes_at(sizes);
    sizes[axis] = other_size;
    other = graph.shapes(sizes);
  } catch (const Error&) {  // it runs at other sizes only
    return kNoAxis;
  }
  const std::vector<bool> shared = shared_values(graph, axis);
  const auto is_shared = [&](int value) { return shared[static_cast<std::size_t>(value)]; };
  if (std::any_of(graph.outputs.begin(), graph.outputs.end(), is_shared)) return kNoAxis;  // each part would give all
  const std::size_t values = static_cast<std::size_t>(graph.first_constant());
  for (std::size_t i = 0; i < values; ++i) {
    if (shared[i]) continue;
    if (one[i].empty() || one[i].front() != one_size || other[i].front() != other_size) return kNoAxis;
    if (!std::equal(one[i].begin() + 1, one[i].end(), other[i].begin() + 1, other[i].end())) return kNoAxis;
  }
  const bool apart = std::all_of(nodes.begin(), nodes.end(), [&](const Node& node) {
    if (is_shared(node.output)) return true;
    return keeps_apart(shared, node, one) && (only_shapes_follow(node) || !follows(graph, node, axis));
  });
  return apart ? axis : kNoAxis;
}

}  // namespace netsurgery
