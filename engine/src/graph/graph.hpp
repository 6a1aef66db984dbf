// A network as the engine sees it: the same graph as netsurgery/graph/ir.py, with numbers in the place of names.
//
// Values are numbered: the inputs come first, then the output of each node, in order, then the constants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/extents.hpp"
#include "graph/operators.hpp"

namespace netsurgery {

using Shape = std::vector<Size>;

constexpr int kLeftOut = -1;  // an optional operand that isn't there

/// A size of an input that the caller chooses, as it stands in the shape.
constexpr Size open_size(std::size_t axis) { return -1 - static_cast<Size>(axis); }
constexpr bool is_open(Size size) { return size < 0; }
constexpr std::size_t axis_of(Size open) { return static_cast<std::size_t>(-1 - open); }

/// An attribute: whole numbers, flags (0, 1) and choices (their place in the table) are `integers`, the rest `numbers`.
struct AttributeValue {
  std::vector<Size> integers;  // of those that follow open axes: at the smallest sizes of these
  std::vector<float> numbers;
  std::vector<int> extents;  // for each of `integers` its number in `Graph::extents`, or kFixed; none: all are fixed
};

constexpr int kFixed = -1;

/// The attributes of one node, all of its operator's, by name.
class Attributes {
 public:
  void set(AttributeName name, AttributeValue value);
  Size integer(AttributeName name) const { return integers(name).front(); }
  bool flag(AttributeName name) const { return integer(name) != 0; }
  float number(AttributeName name) const { return numbers(name).front(); }
  /// A choice as the enum of operator_table.hpp, such as PadMode.
  template <class Choice>
  Choice choice(AttributeName name) const {
    return static_cast<Choice>(integer(name));
  }
  const std::vector<Size>& integers(AttributeName name) const { return value(name).integers; }
  const std::vector<float>& numbers(AttributeName name) const { return value(name).numbers; }
  /// `integers`, or `count` times `neutral` where it is empty, which means "all at their default".
  std::vector<Size> filled(AttributeName name, std::size_t count, Size neutral) const;
  const AttributeValue& value(AttributeName name) const;
  /// Every attribute, by its name.
  const std::vector<std::pair<AttributeName, AttributeValue>>& all() const { return values_; }

 private:
  std::vector<std::pair<AttributeName, AttributeValue>> values_;
};

struct Node {
  Operator op;
  std::vector<int> inputs;  // numbers of values; kLeftOut; as many as are given, none of them trailing kLeftOut
  int output;
  Attributes attributes;
  ValueType type = ValueType::kFloat32;  // of the output

  /// The numbers of the extents that its attributes are told by.
  std::vector<int> extents() const;
};

/// A constant without its zeros, as a matrix with one row for each output: (O, C * |K|) for a weight (O, C, *K),
/// (1, n) for a rank of 0 or 1. Steps that read it while they run keep it: the graph may let go of it before.
struct Constant : std::enable_shared_from_this<Constant> {
  enum class Form : std::uint8_t {
    kDense,   // values: all entries
    kSparse,  // values: the entries other than +0, row by row; columns, starts: where they stand
    kPlanes,  // entry (r, c) = ((±s_0 ± s_1) ± s_2) ..., s_p = scales[r * planes + p], + where the plane's bit is 1
  };
  Shape shape;
  Size rows = 1, columns = 1;
  Form form = Form::kDense;
  std::vector<float> values;
  std::vector<std::uint32_t> column;  // of each value, ascending in a row
  std::vector<std::uint32_t> start;   // rows + 1 places in `values`
  std::vector<float> scales;
  std::vector<std::uint8_t> bits;  // planes * rows * columns, one byte each, 0 or 1
  int planes = 0;
  Size kept = 0;  // entries other than +0; all of them where there are planes

  Size entries() const { return rows * columns; }
  /// All entries, row by row.
  std::vector<float> dense() const;
  /// Some of its rows, in this order; planes become their sums.
  Constant rows_of(const std::vector<Size>& chosen) const;
  /// What is known of it without its entries.
  Constant outline() const;
};

/// All entries of a constant, row by row: its own values where these are all of them, which large weights needn't be
/// copied for. The constant has to outlive it.
class DenseEntries {
 public:
  explicit DenseEntries(const Constant& constant)
      : made_(constant.form == Constant::Form::kDense ? std::vector<float>() : constant.dense()),
        all_(constant.form == Constant::Form::kDense ? constant.values : made_) {}
  DenseEntries(const DenseEntries&) = delete;
  DenseEntries& operator=(const DenseEntries&) = delete;

  const std::vector<float>& all() const { return all_; }
  float operator[](Size i) const { return all_[static_cast<std::size_t>(i)]; }

 private:
  std::vector<float> made_;
  const std::vector<float>& all_;
};

/// All entries of a constant, row by row; where there is none, `count` times `otherwise`, which changes nothing.
std::vector<float> dense_or(const Constant* constant, Size count, float otherwise);

/// The entries of planes, row by row: scales (rows, planes), signs (planes, rows, columns), as in Constant.
std::vector<float> sums_of_planes(const std::vector<float>& scales, const std::vector<std::uint8_t>& signs, Size rows,
                                  Size columns);

struct Input {
  std::string name;
  Shape shape;  // with open sizes
  ValueType type = ValueType::kFloat32;
};

/// The shape with sizes in the place of open ones.
Shape shape_at(const Shape& shape, const Sizes& sizes);

constexpr Size kWidestStep = 65536;  // of an axis, and of all of them: their least common multiple

struct OpenAxis {
  std::string name;
  Size least = 1;  // the smallest size that every operator takes, a multiple of the step
  Size step = 1;   // its sizes are multiples of this

  /// Which sizes it takes: "it must be a multiple of 32, at least 64".
  std::string rule() const;
};

/// Of an output that has as many entries along an axis as a run finds: which output says how many.
struct FoundEntries {
  std::size_t output, axis, count;
};

struct Graph {
  std::vector<Input> inputs;
  std::vector<Node> nodes;
  std::vector<std::shared_ptr<Constant>> constants;
  std::vector<OpenAxis> axes;  // in order of their first appearance in the inputs
  std::vector<Extent> extents;
  std::vector<int> outputs;  // numbers of values: of inputs or nodes
  std::vector<std::string> output_names;

  int first_constant() const { return static_cast<int>(inputs.size() + nodes.size()); }
  bool is_constant(int value) const { return value >= first_constant(); }
  const Constant& constant(int value) const { return *constants[static_cast<std::size_t>(value - first_constant())]; }
  /// The type of a value's entries.
  ValueType type(int value) const;
  /// The smallest sizes of the open axes.
  Sizes least() const;
  /// Sizes at which something about shapes has to hold to be taken for true at all sizes; the smallest ones come first.
  /// See `tried_sizes` in netsurgery/graph/ir.py.
  std::vector<Sizes> tried_sizes() const;
  /// The attributes of a node with numbers in the place of those that follow open axes. Throws Error(NS_ERROR_FILE)
  /// where a number is none that the attribute may be, TooSmall where an axis is too short for it.
  Attributes attributes_at(const Node& node, const Sizes& sizes) const;
  /// The nodes with such attributes.
  std::vector<Node> nodes_at(const Sizes& sizes) const;
  /// The shape of every value, constants included, for inputs of these sizes. Throws Error(NS_ERROR_FILE) where the
  /// graph contradicts itself there.
  std::vector<Shape> shapes(const Sizes& sizes) const;
  /// Why a network can't run at sizes: what its axes take, as far as that says it, and then what a node says.
  std::string why(const Sizes& sizes, const std::string& reason) const;
  /// The outputs of which a run decides how many entries they have.
  std::vector<FoundEntries> found() const;
  /// "batch 4, time 100".
  std::string named(const Sizes& sizes) const;

 private:
  bool takes(const Sizes& sizes) const;
  /// Sizes as far on the way from the smallest ones to these as every operator takes: a table may end before them.
  Sizes within(const Sizes& sizes) const;
};

}  // namespace netsurgery
