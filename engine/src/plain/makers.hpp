// What makes plain kernels, and tables of such functions. That of all operators is kernel_table.hpp.
#pragma once

#include <memory>
#include <vector>

#include "plain/kernel.hpp"

namespace netsurgery::plain {

/// What a kernel is made for.
struct Making {
  const Graph& graph;
  const Node& node;
  const std::vector<Shape>& operands;
  const Shape& output;
  const Kernels& kernels;

  /// The constant that an operand is, or nullptr where it is left out.
  const Constant* constant(std::size_t operand) const {
    if (operand >= node.inputs.size() || node.inputs[operand] == kLeftOut) return nullptr;
    return &graph.constant(node.inputs[operand]);
  }
  const Attributes& attributes() const { return node.attributes; }
  /// Of the entries of an operand that isn't left out.
  ValueType type(std::size_t operand) const { return graph.type(node.inputs[operand]); }
};

using Kernel = std::unique_ptr<PlainKernel>;
using Maker = Kernel (*)(const Making&);

struct MakerEntry {
  Operator op;
  Maker make;
};

/// True if a table has exactly the operators that `belongs` says yes to.
template <std::size_t N, class Belongs>
constexpr bool holds_all(const MakerEntry (&makers)[N], Belongs belongs) {
  std::size_t count = 0;
  for (const OperatorEntry& entry : kOperators) {
    if (!belongs(entry)) continue;
    ++count;
    bool found = false;
    for (const MakerEntry& maker : makers) found = found || maker.op == entry.op;
    if (!found) return false;
  }
  return count == N;
}

/// The maker of an operator that the table has.
template <std::size_t N>
Maker maker_in(const MakerEntry (&makers)[N], Operator op) {
  const MakerEntry* entry = makers;
  while (entry->op != op) ++entry;
  return entry->make;
}

}  // namespace netsurgery::plain
