#include "session/row_check.hpp"

#include <cstdint>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/sentences.hpp"
#include "graph/recurrence.hpp"
#include "graph/shapes.hpp"

namespace netsurgery {
namespace {

constexpr std::size_t kMostSizes = 1024;  // at which it is known how long sequences may be

/// How many entries an input has, found without memory: a run allocates nothing.
Size entries_at(const Input& input, const Sizes& sizes) {
  Size count = 1;
  for (const Size size : input.shape) count *= is_open(size) ? sizes[axis_of(size)] : size;
  return count;
}

template <class Number>
void check_lengths(const Number* numbers, Size longest, const Sizes& sizes, const Input& input) {
  const Size count = entries_at(input, sizes);
  for (Size i = 0; i < count; ++i) {
    const Size number = static_cast<Size>(numbers[i]);
    if (number < 0 || number > longest)
      throw Error(NS_ERROR_INPUT, "input '" + input.name + "': " + std::to_string(number) + " at place (" +
                                      std::to_string(i) + ",) is no length of a sequence of at most " +
                                      std::to_string(longest) + " steps: 0 to " + std::to_string(longest) + " are.");
  }
}

template <class Number>
void check_rows(const Number* numbers, Size rows, const Sizes& sizes, const Input& input) {
  const Size count = entries_at(input, sizes);
  for (Size i = 0; i < count; ++i) {
    const Size number = static_cast<Size>(numbers[i]);
    if (number >= -rows && number < rows) continue;
    const Shape shape = shape_at(input.shape, sizes);
    Shape place(shape.size());
    Size rest = i;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis]) place[axis] = rest % shape[axis];
    throw Error(NS_ERROR_INPUT, "input '" + input.name + "': " + std::to_string(number) + " at place " +
                                    text_of(place) + " is none of the table's " + std::to_string(rows) +
                                    " rows: 0 to " + std::to_string(rows - 1) + " are, or -" + std::to_string(rows) +
                                    " to -1.");
  }
}

}  // namespace

RowCheck::RowCheck(const Graph& graph) : graph_(graph) {
  for (const Node& node : graph.nodes)
    // What is computed on the way is checked where it is looked up.
    if (node.op == Operator::kEmbedding && static_cast<std::size_t>(node.inputs[0]) < graph.inputs.size())
      tables_.push_back({static_cast<std::size_t>(node.inputs[0]), graph.constant(node.inputs[1]).rows});
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!is_recurrent(node.op)) continue;
    const auto place = static_cast<std::size_t>(recurrent_operands(node.op).lengths);
    if (place >= node.inputs.size() || node.inputs[place] == kLeftOut) continue;
    if (static_cast<std::size_t>(node.inputs[place]) < graph.inputs.size())  // what is computed is held within bounds
      lengths_.push_back({static_cast<std::size_t>(node.inputs[place]), i});
  }
}

void RowCheck::prepare(const Sizes& sizes) {
  if (lengths_.empty() || longest_.count(sizes) > 0) return;
  if (longest_.size() >= kMostSizes) longest_.clear();
  const std::vector<Shape> shapes = graph_.shapes(sizes);
  std::vector<Size> longest;
  for (const Lengths& one : lengths_) {
    const Node& node = graph_.nodes[one.node];
    const bool batch_first = node.attributes.flag(AttributeName::kBatchFirst);
    longest.push_back(shapes[static_cast<std::size_t>(node.inputs[0])][batch_first ? 1 : 0]);
  }
  longest_.emplace(sizes, std::move(longest));
}

void RowCheck::check(const Sizes& sizes, const void* const* inputs) const {
  const auto known = longest_.find(sizes);
  for (std::size_t i = 0; i < lengths_.size(); ++i) {
    const std::size_t place = lengths_[i].input;
    const Size longest = known->second[i];
    const Input& input = graph_.inputs[place];
    if (input.type == ValueType::kInt32)
      check_lengths(static_cast<const std::int32_t*>(inputs[place]), longest, sizes, input);
    else
      check_lengths(static_cast<const std::int64_t*>(inputs[place]), longest, sizes, input);
  }
  for (const Table& table : tables_) {
    const Input& input = graph_.inputs[table.input];
    if (input.type == ValueType::kInt32)
      check_rows(static_cast<const std::int32_t*>(inputs[table.input]), table.rows, sizes, input);
    else
      check_rows(static_cast<const std::int64_t*>(inputs[table.input]), table.rows, sizes, input);
  }
}

}  // namespace netsurgery
