// Attributes of nodes (docs/format.md, "An attribute").
#pragma once

#include <string>
#include <vector>

#include "file/stream.hpp"
#include "graph/graph.hpp"

namespace netsurgery {

/// What a file says of an operator's attributes, in the table's order; not checked yet.
using SaidAttributes = std::vector<AttributeValue>;

class AttributeReader {
 public:
  /// axes: how many are open; the extents so far, to which new ones are added. follows: do numbers of this node?
  AttributeReader(Stream& stream, std::vector<Extent>& extents, std::size_t axes, const Sizes& least, bool follows)
      : stream_(stream), extents_(extents), axes_(axes), least_(least), follows_(follows) {}

  /// x: the shape of the node's first operand, as far as it is known. open_axes: is any size of the inputs open?
  SaidAttributes read(const OperatorEntry& entry, const Shape& x, bool open_axes);

 private:
  AttributeValue attribute(const AttributeEntry& attribute, const Shape& x, bool open_axes);
  void number(const AttributeEntry& attribute, AttributeValue& numbers);
  /// The number of an extent, one of those that were told or a new one.
  int extent();
  Extent told(int depth);
  ExtentFactor factor(Size kind, int depth);
  void count_part();

  Stream& stream_;
  std::vector<Extent>& extents_;
  std::size_t axes_;
  const Sizes& least_;
  bool follows_;
  int parts_ = 0;
};

/// What an operator's attribute said.
const AttributeValue& said(const OperatorEntry& entry, const SaidAttributes& values, AttributeName name);

/// Checked, and in the one form that each value has. Throws Error(NS_ERROR_FILE) that says what is allowed.
Attributes checked(const OperatorEntry& entry, SaidAttributes values);

}  // namespace netsurgery
