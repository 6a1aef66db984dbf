#include "graph/graph.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <stdexcept>

#include "base/arithmetic.hpp"
#include "base/error.hpp"
#include "graph/shapes.hpp"

namespace netsurgery {

void Attributes::set(AttributeName name, AttributeValue value) {
  for (auto& [known, kept] : values_)
    if (known == name) {
      kept = std::move(value);
      return;
    }
  values_.emplace_back(name, std::move(value));
}

const AttributeValue& Attributes::value(AttributeName name) const {
  for (const auto& [known, kept] : values_)
    if (known == name) return kept;
  throw std::logic_error("an operator is asked for an attribute that it doesn't have");
}

std::vector<Size> Attributes::filled(AttributeName name, std::size_t count, Size neutral) const {
  const std::vector<Size>& said = integers(name);
  return said.empty() ? std::vector<Size>(count, neutral) : said;
}

std::vector<float> sums_of_planes(const std::vector<float>& scales, const std::vector<std::uint8_t>& signs, Size rows,
                                  Size columns) {
  const auto width = static_cast<std::size_t>(columns), height = static_cast<std::size_t>(rows);
  std::vector<float> result(width * height);
  const DefaultArithmetic rounding;  // the sums are part of what a file says
  const std::size_t count = scales.size() / height;
  for (std::size_t p = 0; p < count; ++p) {
    const std::uint8_t* plane = signs.data() + p * height * width;
    for (std::size_t r = 0; r < height; ++r) {
      const float scale = scales[r * count + p];
      float* row = result.data() + r * width;
      for (std::size_t c = 0; c < width; ++c) {
        const float term = plane[r * width + c] ? scale : -scale;
        row[c] = p == 0 ? term : row[c] + term;  // 0 + -0.0 would lose the sign
      }
    }
  }
  return result;
}

std::vector<float> Constant::dense() const {
  if (form == Form::kDense) return values;
  if (form == Form::kPlanes) return sums_of_planes(scales, bits, rows, columns);
  std::vector<float> result(static_cast<std::size_t>(entries()), 0.0f);
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r)
    for (std::uint32_t i = start[r]; i < start[r + 1]; ++i) result[r * width + column[i]] = values[i];
  return result;
}

Constant Constant::rows_of(const std::vector<Size>& chosen) const {
  const bool sparse = form == Form::kSparse;
  const std::vector<float> sums = form == Form::kPlanes ? dense() : std::vector<float>();
  const std::vector<float>& given = form == Form::kPlanes ? sums : values;
  Constant some;
  some.shape = shape;
  some.rows = static_cast<Size>(chosen.size());
  some.columns = columns;
  some.form = sparse ? Form::kSparse : Form::kDense;
  if (sparse) some.start.push_back(0);
  for (const Size row : chosen) {
    const auto at = [](Size place) { return static_cast<std::ptrdiff_t>(place); };
    const Size begin = sparse ? start[static_cast<std::size_t>(row)] : row * columns;
    const Size end = sparse ? start[static_cast<std::size_t>(row) + 1] : begin + columns;
    some.values.insert(some.values.end(), given.begin() + at(begin), given.begin() + at(end));
    if (!sparse) continue;
    some.column.insert(some.column.end(), column.begin() + at(begin), column.begin() + at(end));
    some.start.push_back(static_cast<std::uint32_t>(some.values.size()));
  }
  some.kept = std::count_if(some.values.begin(), some.values.end(),
                            [](float value) { return value != 0.0f || std::signbit(value); });
  return some;
}

Constant Constant::outline() const {
  Constant made;
  made.shape = shape;
  made.rows = rows;
  made.columns = columns;
  made.form = form;
  made.planes = planes;
  made.kept = kept;
  return made;
}

std::vector<float> dense_or(const Constant* constant, Size count, float otherwise) {
  return constant ? constant->dense() : std::vector<float>(static_cast<std::size_t>(count), otherwise);
}

std::vector<int> Node::extents() const {
  std::vector<int> found;
  for (const auto& [name, value] : attributes.all())
    std::copy_if(value.extents.begin(), value.extents.end(), std::back_inserter(found),
                 [](int extent) { return extent != kFixed; });
  return found;
}

Attributes Graph::attributes_at(const Node& node, const Sizes& sizes) const {
  Attributes filled = node.attributes;
  for (const AttributeEntry& attribute : entry_of(node.op).attributes) {
    if (!attribute.follows) continue;
    AttributeValue value = filled.value(attribute.name);
    if (value.extents.empty()) continue;
    for (std::size_t i = 0; i < value.extents.size(); ++i) {
      if (value.extents[i] == kFixed) continue;
      const Size number = extents[static_cast<std::size_t>(value.extents[i])].at(sizes);
      if (number > kLargestInteger)
        throw Error(NS_ERROR_FILE, std::string(attribute.word) + "=" + std::to_string(number) + " is not allowed.");
      if (number < attribute.lowest_following)
        throw TooSmall(std::string(attribute.word) + " is " + std::to_string(number) + "; at least " +
                       std::to_string(attribute.lowest_following) + " is needed.");
      value.integers[i] = number;
    }
    filled.set(attribute.name, std::move(value));
  }
  return filled;
}

std::vector<Node> Graph::nodes_at(const Sizes& sizes) const {
  std::vector<Node> filled = nodes;
  for (Node& node : filled) node.attributes = attributes_at(node, sizes);
  return filled;
}

bool Graph::takes(const Sizes& sizes) const {
  try {
    shapes(sizes);
  } catch (const TooSmall&) {
    return false;
  } catch (const Error&) {
  }
  return true;
}

Sizes Graph::within(const Sizes& sizes) const {
  Sizes reached = sizes;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    Sizes tried = least();
    const Size step = axes[axis].step;
    Size low = tried[axis], high = sizes[axis];
    while (low < high) {
      tried[axis] = high - (high - low) / step / 2 * step;
      if (takes(tried))
        low = tried[axis];
      else
        high = tried[axis] - step;
    }
    reached[axis] = low;
  }
  return reached;
}

Shape shape_at(const Shape& shape, const Sizes& sizes) {
  Shape result = shape;
  for (Size& size : result)
    if (is_open(size)) size = sizes[axis_of(size)];
  return result;
}

ValueType Graph::type(int value) const {
  const auto number = static_cast<std::size_t>(value);
  if (number < inputs.size()) return inputs[number].type;
  return is_constant(value) ? ValueType::kFloat32 : nodes[number - inputs.size()].type;
}

Sizes Graph::least() const {
  Sizes sizes{};
  for (std::size_t axis = 0; axis < axes.size(); ++axis) sizes[axis] = axes[axis].least;
  return sizes;
}

std::vector<Sizes> Graph::tried_sizes() const {
  constexpr Size kLongestPeriod = 1024;
  const Sizes smallest = least();
  if (axes.empty()) return {smallest};
  // The product of strides along a path, behind which the stairs of sizes repeat.
  std::vector<Size> periods(inputs.size() + nodes.size() + constants.size(), 1);
  Size longest = 1;
  bool follows = false;
  const auto multiply = [&](Size& period, Size stride) {
    period = std::min(product_of(period, stride), kLongestPeriod);
  };
  for (const Node& node : nodes) {
    Size period = 1;
    for (const int input : node.inputs)
      if (input != kLeftOut) period = std::max(period, periods[static_cast<std::size_t>(input)]);
    for (const AttributeEntry& attribute : entry_of(node.op).attributes) {
      if (attribute.name != AttributeName::kStrides && attribute.name != AttributeName::kStep) continue;
      Size common = 1;
      for (const Size stride : node.attributes.integers(attribute.name))
        multiply(common, stride / std::gcd(common, stride));
      multiply(period, common);
    }
    for (const int extent : node.extents()) {
      period = std::max(period, extents[static_cast<std::size_t>(extent)].period(kLongestPeriod));
      follows = true;
    }
    periods[static_cast<std::size_t>(node.output)] = period;
    longest = std::max(longest, period);
  }
  for (const OpenAxis& axis : axes) longest = std::lcm(longest, axis.step);
  std::vector<Sizes> tried(3, smallest);
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const auto place = static_cast<Size>(axis);
    tried[1][axis] += axes[axis].step * (1 + place);
    tried[2][axis] += 2 * longest + axes[axis].step * (1 + 3 * place);
  }
  if (follows)
    for (Sizes& sizes : tried) sizes = within(sizes);
  return tried;
}

std::string OpenAxis::rule() const {
  return "it must be " + (step > 1 ? "a multiple of " + std::to_string(step) + ", " : "") + "at least " +
         std::to_string(least);
}

std::string Graph::why(const Sizes& sizes, const std::string& reason) const {
  std::string rules;
  bool fits_steps = true;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    fits_steps = fits_steps && sizes[i] % axes[i].step == 0;
    if (sizes[i] < axes[i].least || sizes[i] % axes[i].step != 0)
      rules +=
          (rules.empty() ? "" : " ") + axes[i].name + " is " + std::to_string(sizes[i]) + ": " + axes[i].rule() + ".";
  }
  if (rules.empty()) {
    const Sizes reached = within(sizes);
    for (std::size_t i = 0; i < axes.size(); ++i)
      if (reached[i] < sizes[i])
        rules += (rules.empty() ? "" : " ") + axes[i].name + " is " + std::to_string(sizes[i]) +
                 ": it must be at most " + std::to_string(reached[i]) + ".";
  }
  if (rules.empty()) return reason;
  return fits_steps && !reason.empty() ? rules + " (" + reason + ")" : rules;  // else it says the rule once more
}

std::vector<FoundEntries> Graph::found() const {
  std::vector<FoundEntries> result;
  for (const Node& node : nodes) {
    if (node.op != Operator::kFirstEntries) continue;
    const auto count = std::find(outputs.begin(), outputs.end(), node.inputs[1]);
    if (count == outputs.end()) continue;
    for (std::size_t output = 0; output < outputs.size(); ++output)
      if (outputs[output] == node.output)
        result.push_back({output, static_cast<std::size_t>(node.attributes.integer(AttributeName::kAxis)),
                          static_cast<std::size_t>(count - outputs.begin())});
  }
  return result;
}

std::string Graph::named(const Sizes& sizes) const {
  std::string result;
  for (std::size_t axis = 0; axis < axes.size(); ++axis)
    result += (axis > 0 ? ", " : "") + axes[axis].name + " " + std::to_string(sizes[axis]);
  return result.empty() ? "fixed sizes" : result;
}

std::vector<Shape> Graph::shapes(const Sizes& sizes) const {
  for (std::size_t i = 0; i < axes.size(); ++i)
    if (sizes[i] % axes[i].step != 0)
      throw Error(NS_ERROR_FILE, axes[i].name + " is " + std::to_string(sizes[i]) + ": " + axes[i].rule() + ".");
  std::vector<Shape> known(inputs.size() + nodes.size() + constants.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    known[i] = shape_at(inputs[i].shape, sizes);
    require_possible(known[i]);
  }
  const auto first = static_cast<std::size_t>(first_constant());
  for (std::size_t i = 0; i < constants.size(); ++i) known[first + i] = constants[i]->shape;
  std::vector<const Shape*> operands;
  const auto place = [&](std::size_t i) {
    return "node " + std::to_string(i + 1) + ", " + entry_of(nodes[i].op).name + ": ";
  };
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    operands.clear();
    for (const int input : node.inputs)
      operands.push_back(input == kLeftOut ? nullptr : &known[static_cast<std::size_t>(input)]);
    Shape& made = known[static_cast<std::size_t>(node.output)];
    try {
      made = node.extents().empty() ? output_shape(node.op, operands, node.attributes)
                                    : output_shape(node.op, operands, attributes_at(node, sizes));
      require_possible(made);
    } catch (const TooSmall& error) {
      throw TooSmall(place(i) + error.what());
    } catch (const Error& error) {
      throw Error(error.status(), place(i) + error.what());
    }
  }
  return known;
}

}  // namespace netsurgery
