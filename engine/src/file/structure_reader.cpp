#include "file/structure_reader.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "file/utf8.hpp"

namespace netsurgery {
namespace {

using namespace format;

static_assert(kMostAxes == kMostOpenAxes && kHighestRank == NS_HIGHEST_RANK);

constexpr Size kUnsaid = -1;  // a size that its node doesn't tell
constexpr const char* kContradiction = "the file holds a graph that contradicts itself: ";

std::string lower(std::string name) {
  for (char& letter : name)
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  return name;
}

std::string wrong_type(const OperandEntry& operand, ValueType given) {
  std::string allowed;
  for (const ValueTypeEntry& one : kValueTypes)
    if (operand.takes(one.type)) allowed += (allowed.empty() ? "" : " or ") + std::string(one.name);
  return std::string("input '") + operand.name + "' is " + entry_of(given).name + "; it must be " + allowed + ".";
}

/// Entries of x with the padding around its images, which a kernel may have to hold; 0 where there is none.
Size padded_entries(const OperatorEntry& entry, const Shape& x, const Attributes& attributes) {
  const auto around_images = [](const AttributeEntry& one) {
    return one.name == AttributeName::kPads && one.length == Length::kTwiceSpatial;
  };
  if (std::none_of(entry.attributes.begin(), entry.attributes.end(), around_images)) return 0;
  const std::vector<Size>& pads = attributes.integers(AttributeName::kPads);
  if (pads.empty()) return 0;
  const std::size_t spatial = x.size() - 2;
  Size result = product_of(x[0], x[1]);
  for (std::size_t axis = 0; axis < spatial; ++axis)
    result = product_of(result, x[2 + axis] + pads[axis] + pads[spatial + axis]);
  return result;
}

}  // namespace

Structure StructureReader::read() {
  const bool named = stream_.flag(kNames);
  const Size inputs = stream_.count(kInputCount, kMostInputs, "inputs", 1);
  bool told = named;
  for (Size i = 0; i < inputs; ++i) told = input() || told;
  name_axes(told);
  const Size nodes = stream_.count(kNodeCount, kMostNodes, "nodes", 0);
  first_constant_ = static_cast<int>(inputs + nodes);
  for (Size i = 0; i < nodes; ++i) node(i == 0 ? 0 : static_cast<std::size_t>(newest_));
  const Size outputs = stream_.count(kOutputCount, kMostOutputs, "outputs", 1);
  for (Size i = 0; i < outputs; ++i) graph_.outputs.push_back(value(kOutput));
  std::vector<std::string> names = named ? text(values_.size() + graph_.constants.size(), "values") : made_up_names();
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) graph_.inputs[i].name = names[i];
  for (const int output : graph_.outputs) graph_.output_names.push_back(names[static_cast<std::size_t>(output)]);
  return {std::move(graph_), std::move(names)};
}

bool StructureReader::input() {
  const Size rank = stream_.count(kRank, kHighestRank, "axes of an input", 0);
  const bool usual = !stream_.flag(kRank);
  if (rank == 0 && usual) refuse_file("an input without axes can't have an open one.");
  const bool tells = !usual && stream_.flag(kInputForm);
  const Size code = tells ? stream_.integer(kInputForm) : 0;
  if (code >= static_cast<Size>(std::size(kValueTypes)))
    refuse_file("value type " + std::to_string(code) + " doesn't exist in this version of the format.");
  Input made;
  made.type = static_cast<ValueType>(code);
  if (usual && graph_.axes.empty()) graph_.axes.emplace_back();
  if (usual) made.shape.push_back(netsurgery::open_size(0));
  Shape fixed;
  while (static_cast<Size>(made.shape.size()) < rank) {
    if (tells && stream_.flag(kOpenSize)) {
      made.shape.push_back(open_size());
    } else {
      fixed.push_back(size(fixed));
      made.shape.push_back(fixed.back());
    }
  }
  Shape shape = shape_at(made.shape, graph_.least());
  const bool has_axes = std::any_of(made.shape.begin(), made.shape.end(), is_open);
  graph_.inputs.push_back(std::move(made));
  add_value(std::move(shape));
  return tells && has_axes;
}

Size StructureReader::open_size() {
  const Size number = stream_.integer(kOpenSize), count = static_cast<Size>(graph_.axes.size());
  if (number > count + 1)
    refuse_file("open axis " + std::to_string(number) + " appears before number " + std::to_string(count) + ".");
  if (number < count) return netsurgery::open_size(static_cast<std::size_t>(number));
  if (count == kMostAxes) refuse_limit("the file declares more than " + std::to_string(kMostAxes) + " open axes.");
  OpenAxis made;
  if (number > count) {
    made.step = stream_.integer(kLeastSize) + 1;
    Size common = made.step;
    for (const OpenAxis& axis : graph_.axes) common = std::lcm(common, axis.step);  // at most 2^48
    if (made.step == 1 || common > kWidestStep)
      refuse_file("an open axis has a step of " + std::to_string(made.step) +
                  "; it is at least 2, and all of them have a common multiple of at most " + with_commas(kWidestStep) +
                  ".");
  }
  made.least = made.step * (stream_.integer(kLeastSize) + 1);
  graph_.axes.push_back(std::move(made));
  return netsurgery::open_size(static_cast<std::size_t>(count));
}

void StructureReader::name_axes(bool told) {
  const auto leads = [](const Input& input) {
    return !input.shape.empty() && input.shape[0] == netsurgery::open_size(0);
  };
  for (std::size_t axis = 0; axis < graph_.axes.size(); ++axis)
    graph_.axes[axis].name = "axis_" + std::to_string(axis + 1);
  if (std::any_of(graph_.inputs.begin(), graph_.inputs.end(), leads)) graph_.axes[0].name = "batch";
  if (!told || graph_.axes.empty() || !stream_.flag(kNames)) return;
  std::vector<std::string> names = text(graph_.axes.size(), "open axes");
  for (std::size_t axis = 0; axis < graph_.axes.size(); ++axis) graph_.axes[axis].name = std::move(names[axis]);
}

Size StructureReader::size(const Shape& before) {
  if (!before.empty() && !stream_.flag(kSize)) return before.back();
  return stream_.integer(kSize) + 1;
}

int StructureReader::value(std::size_t context) {
  const Size distance = stream_.integer(context), count = static_cast<Size>(values_.size());
  if (distance >= count)
    refuse_file("value " + std::to_string(distance + 1) + " before the newest of " + std::to_string(count) +
                " doesn't exist.");
  return static_cast<int>(count - 1 - distance);
}

void StructureReader::node(std::size_t previous_code) {
  Size code = stream_.integer(kOperator + previous_code) + 1;
  const bool follows = code == kFollows;
  if (follows) code = stream_.integer(kOperator + previous_code) + 1;
  if (!is_operator(code))
    refuse_file("operator " + std::to_string(code) + " doesn't exist in this version of the format.");
  newest_ = static_cast<Operator>(code);
  ordinals_.push_back(++made_[static_cast<std::size_t>(code)]);
  const OperatorEntry& entry = entry_of(newest_);
  Operands given = operands(entry);
  static const Shape kNone;
  const Shape* known_x = given.values.empty() ? nullptr : shape_of(given.values[0]);
  const Shape x = known_x ? *known_x : kNone;
  const Sizes least = graph_.least();
  SaidAttributes values =
      AttributeReader(stream_, graph_.extents, graph_.axes.size(), least, follows).read(entry, x, !graph_.axes.empty());
  for (const std::size_t place : given.new_constants)
    add_constant(entry, place, static_cast<std::size_t>(given.values[place] - first_constant_),
                 constant_shape(entry, given, place, values));

  const std::string name = newest_node();
  Node made{newest_, {}, static_cast<int>(values_.size()), attributes_of(entry, std::move(values)), {}};
  std::vector<const Shape*> shapes;
  for (const int operand : given.values) shapes.push_back(shape_of(operand));
  made.type = type_of(entry, given, made.attributes);
  Shape shape;
  try {
    shape = output_shape(newest_, shapes, graph_.attributes_at(made, least));
  } catch (const Error& error) {
    refuse_file(kContradiction + std::string(error.what()));
  }
  const Size padded = shapes.empty() ? 0 : padded_entries(entry, *shapes[0], made.attributes);
  add_value(std::move(shape));
  check_entries(name + "'s padded input", padded);
  while (!given.values.empty() && given.values.back() == kLeftOut) given.values.pop_back();
  made.inputs = std::move(given.values);
  graph_.nodes.push_back(std::move(made));
}

/// Of the output. Refuses operands of types that they can't have.
ValueType StructureReader::type_of(const OperatorEntry& entry, const Operands& operands,
                                   const Attributes& attributes) const {
  ValueType first = ValueType::kFloat32, last = first, alike = first;
  bool is_alike = false;  // was there one of those that have to be?
  for (std::size_t place = 0; place < operands.values.size(); ++place) {
    const int operand = operands.values[place];
    if (operand == kLeftOut) continue;
    const OperandEntry& expected = entry.operand(place);
    const ValueType type = operand >= first_constant_ ? ValueType::kFloat32 : graph_.type(operand);
    if (!expected.takes(type)) refuse_file(kContradiction + wrong_type(expected, type));
    if (expected.alike && is_alike && type != alike)
      refuse_file(kContradiction + std::string("input '") + expected.name + "' is " + netsurgery::entry_of(type).name +
                  ", another one is " + netsurgery::entry_of(alike).name + "; they must be alike.");
    if (expected.alike) alike = type, is_alike = true;
    if (place == 0) first = type;
    last = type;
  }
  switch (entry.gives) {
    case Gives::kFloat32:
      return ValueType::kFloat32;
    case Gives::kFirst:
      return first;
    case Gives::kLast:
      return last;
    case Gives::kInt64:
      return ValueType::kInt64;
    case Gives::kBool:
      return ValueType::kBool;
    case Gives::kSaid:
      return attributes.choice<ValueType>(AttributeName::kType);  // its choices are in the order of the codes
  }
  return ValueType::kFloat32;
}

StructureReader::Operands StructureReader::operands(const OperatorEntry& entry) {
  Size count = static_cast<Size>(entry.operands.size());
  if (entry.variadic()) count = stream_.count(kOperandCount, kMostOperands, "operands", 1);
  operands_ += count;
  if (operands_ > kMostOperands)
    refuse_limit("the file declares more than " + with_commas(kMostOperands) + " operands.");
  Operands result;
  for (std::size_t place = 0; place < static_cast<std::size_t>(count); ++place) {
    const OperandEntry& operand = entry.operand(place);
    if (operand.optional && stream_.flag(kLeftOutFlag)) {
      result.values.push_back(kLeftOut);
    } else if (!operand.constant && !stream_.flag(kConstantFlag)) {
      result.values.push_back(value(kDistance));
    } else if (stream_.flag(kTied)) {
      const Size number = stream_.integer(kTied);
      if (number >= static_cast<Size>(graph_.constants.size()))
        refuse_file("constant " + std::to_string(number) + " is used before it appears.");
      result.values.push_back(first_constant_ + static_cast<int>(number));
    } else {  // its number is taken; its shape comes after the attributes
      if (static_cast<Size>(graph_.constants.size()) == kMostConstants)
        refuse_limit("the file declares more than " + with_commas(kMostConstants) + " constants.");
      result.values.push_back(first_constant_ + static_cast<int>(graph_.constants.size()));
      result.new_constants.push_back(place);
      graph_.constants.push_back(std::make_shared<Constant>());
      constant_known_.push_back(false);
      constant_names_.emplace_back();
    }
  }
  return result;
}

Attributes StructureReader::attributes_of(const OperatorEntry& entry, SaidAttributes values) const {
  try {
    return checked(entry, std::move(values));
  } catch (const Error& error) {
    refuse_file(kContradiction + std::string(entry.name) + " '" + newest_node() + "': " + error.what());
  }
}

Shape StructureReader::expected_shape(const OperatorEntry& entry, const Operands& operands, std::size_t place,
                                      const SaidAttributes& attributes, bool& is_expected) const {
  is_expected = false;
  const Shape* x = place > 0 ? shape_of(operands.values[0]) : nullptr;
  if (!x) return {};
  const Shape* weight = place > 1 ? shape_of(operands.values[1]) : nullptr;
  is_expected = true;
  const auto integer = [&](AttributeName name) { return said(entry, attributes, name).integers[0]; };
  switch (entry.operand(place).expected) {
    case Expected::kNothing:
      break;
    case Expected::kKernel: {
      const Size groups = x->size() >= 3 ? integer(AttributeName::kGroups) : 0;
      if (groups == 0 || (*x)[1] % groups != 0) break;
      Shape result(x->size(), kUnsaid);
      result[1] = (*x)[1] / groups;
      return result;
    }
    case Expected::kMatrix:
      if (x->empty()) break;
      return {kUnsaid, x->back()};
    case Expected::kGates:
      if (x->empty()) break;
      return {x->back(), kUnsaid};
    case Expected::kOutputs:
      if (!weight) break;
      return weight->empty() ? Shape() : Shape{(*weight)[0]};
    case Expected::kFromAxis: {
      const Size axis = std::min(integer(AttributeName::kAxis), static_cast<Size>(x->size()));
      return {x->begin() + axis, x->end()};
    }
  }
  is_expected = false;
  return {};
}

Shape StructureReader::constant_shape(const OperatorEntry& entry, const Operands& operands, std::size_t place,
                                      const SaidAttributes& attributes) {
  bool is_expected = false;
  Shape shape = expected_shape(entry, operands, place, attributes, is_expected);
  if (!is_expected) {
    const Size rank = stream_.count(kRank, kHighestRank, "axes of a constant", 0);
    while (static_cast<Size>(shape.size()) < rank) shape.push_back(size(shape));
    return shape;
  }
  Size previous = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] != kUnsaid) continue;
    if (axis == 0) {
      shape[axis] = stream_.integer(kOutputsOfLayer) + 1;
    } else {
      if (previous == 0 || stream_.flag(kKernel)) previous = stream_.integer(kKernel) + 1;
      shape[axis] = previous;
    }
  }
  return shape;
}

std::vector<std::string> StructureReader::text(std::size_t needed, const char* what) {
  const Size count = stream_.count(kNames, kMostNameBytes, "bytes of names", 1);
  const std::vector<std::uint8_t> ones(static_cast<std::size_t>(count), 1);
  std::vector<std::uint8_t> letters(static_cast<std::size_t>(count));
  stream_.tensors.codes(Grid{1, count, 1, 1}, ones.data(), 8, letters.data());
  if (!is_utf8(letters)) refuse_file("the names in the file are not UTF-8 text.");
  std::vector<std::string> names;
  for (auto begin = letters.begin();;) {
    const auto end = std::find(begin, letters.end(), std::uint8_t{'\n'});
    names.emplace_back(begin, end);
    if (end == letters.end()) break;
    begin = end + 1;
  }
  const std::size_t different = std::unordered_set<std::string>(names.begin(), names.end()).size();
  if (names.size() != needed || different != needed)
    refuse_file("the file holds " + std::to_string(different) + " different names for " + std::to_string(needed) + " " +
                what + ".");
  return names;
}

std::vector<std::string> StructureReader::made_up_names() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < values_.size(); ++i) names.push_back(made_up_name(i));
  names.insert(names.end(), constant_names_.begin(), constant_names_.end());
  return names;
}

void StructureReader::add_value(Shape shape) {
  const std::string name = made_up_name(values_.size());
  if (static_cast<Size>(shape.size()) > kHighestRank)
    refuse_limit(name + " has " + std::to_string(shape.size()) + " axes; at most " + std::to_string(kHighestRank) +
                 " are allowed.");
  check_sizes(name, shape);
  check_entries(name, entries_of(shape));
  values_.push_back(std::move(shape));
}

void StructureReader::add_constant(const OperatorEntry& entry, std::size_t place, std::size_t number, Shape shape) {
  std::string name = newest_node() + "." + entry.operand(place).name;
  if (entry.operand(place).variadic) name += "_" + std::to_string(place + 1);
  check_sizes(name, shape);
  constant_names_[number] = std::move(name);
  const Size entries = entries_of(shape);
  if (entries > granted_.elements - elements_)
    refuse_limit("the file declares constants of more than " + with_commas(granted_.elements) +
                 " entries. If you trust it, raise the limit of elements.");
  elements_ += entries;
  Constant& constant = *graph_.constants[number];
  constant.rows = shape.size() < 2 ? 1 : shape[0];
  constant.columns = entries / constant.rows;
  constant.shape = std::move(shape);
  constant_known_[number] = true;
}

void StructureReader::check_sizes(const std::string& name, const Shape& shape) const {
  if (std::any_of(shape.begin(), shape.end(), [](Size size) { return size < 1 || size > kLargestSize; }))
    refuse_limit(name + " has shape " + text_of(shape) + "; sizes must be 1 to " + std::to_string(kLargestSize) + ".");
}

void StructureReader::check_entries(const std::string& what, Size entries) const {
  if (entries > granted_.value_elements)
    refuse_limit(what + " has " + with_commas(entries) + " entries; " + with_commas(granted_.value_elements) +
                 " are allowed. If you trust the file, raise the limit of value_elements.");
}

const Shape* StructureReader::shape_of(int value) const {
  if (value == kLeftOut) return nullptr;
  if (value < first_constant_) return &values_[static_cast<std::size_t>(value)];
  const auto number = static_cast<std::size_t>(value - first_constant_);
  return constant_known_[number] ? &graph_.constants[number]->shape : nullptr;
}

std::string StructureReader::made_up_name(std::size_t value) const {
  const std::size_t inputs = graph_.inputs.size();
  if (value < inputs) return value == 0 ? "input" : "input_" + std::to_string(value + 1);
  const Operator op = value - inputs < graph_.nodes.size() ? graph_.nodes[value - inputs].op : newest_;
  return lower(entry_of(op).name) + "_" + std::to_string(ordinals_[value - inputs]);
}

std::string StructureReader::newest_node() const { return made_up_name(values_.size()); }

}  // namespace netsurgery
