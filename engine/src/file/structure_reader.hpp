// Everything of a file but its constants' entries (docs/format.md, "Structure").
#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "file/attribute_reader.hpp"
#include "file/stream.hpp"
#include "graph/graph.hpp"
#include "graph/shapes.hpp"

namespace netsurgery {

/// What a file of a certain size is granted.
struct Granted {
  Size elements;        // of all constants together, at most kMostEntries
  Size value_elements;  // of any value at the smallest sizes, at most kMostEntries
};

struct Structure {
  Graph graph;                     // its constants have their shapes, rows and columns, and no entries yet
  std::vector<std::string> names;  // of all values, as the graph numbers them
};

class StructureReader {
 public:
  StructureReader(Stream& stream, const Granted& granted) : stream_(stream), granted_(granted) {}

  Structure read();

 private:
  struct Operands {
    std::vector<int> values;                 // as in a node, but with kLeftOut at the end, too
    std::vector<std::size_t> new_constants;  // places of those that appear for the first time
  };

  /// True if names of axes are told.
  bool input();
  Size open_size();
  void name_axes(bool told);
  /// So many names; what: of what.
  std::vector<std::string> text(std::size_t needed, const char* what);
  void node(std::size_t previous_code);
  Operands operands(const OperatorEntry& entry);
  Attributes attributes_of(const OperatorEntry& entry, SaidAttributes values) const;
  /// The shape of a new constant of the node that is being read.
  Shape constant_shape(const OperatorEntry& entry, const Operands& operands, std::size_t place,
                       const SaidAttributes& attributes);
  Shape expected_shape(const OperatorEntry& entry, const Operands& operands, std::size_t place,
                       const SaidAttributes& attributes, bool& is_expected) const;
  /// Of all values, where the file has none.
  std::vector<std::string> made_up_names() const;

  Size size(const Shape& before);
  int value(std::size_t context);
  void add_value(Shape shape);
  ValueType type_of(const OperatorEntry& entry, const Operands& operands, const Attributes& attributes) const;
  void add_constant(const OperatorEntry& entry, std::size_t place, std::size_t number, Shape shape);
  void check_sizes(const std::string& name, const Shape& shape) const;
  void check_entries(const std::string& what, Size entries) const;
  /// The shape of a value or constant; nullptr: left out, or not known yet.
  const Shape* shape_of(int value) const;
  /// Of an input, of a node, the last one of which is being read; as the Python reader makes them up.
  std::string made_up_name(std::size_t value) const;
  std::string newest_node() const;

  Stream& stream_;
  const Granted granted_;
  Graph graph_;
  int first_constant_ = 0;
  std::vector<Shape> values_;         // shapes of inputs and nodes so far
  std::vector<bool> constant_known_;  // does constant number i have its shape?
  std::vector<std::string> constant_names_;
  Operator newest_{};
  std::vector<int> made_ = std::vector<int>(kMostOperatorCodes);  // nodes of each operator so far
  std::vector<int> ordinals_;                                     // which of its operator each node is
  Size operands_ = 0, elements_ = 0;
};

}  // namespace netsurgery
