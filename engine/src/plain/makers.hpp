// Who makes the plain kernel of which operator. The table is in plain_kernel.cpp.
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

Kernel make_elementwise(const Making& making);
Kernel make_binary(const Making& making);
Kernel make_pool(const Making& making);
Kernel make_adaptive_pool(const Making& making);
Kernel make_convolution(const Making& making);
Kernel make_linear(const Making& making);
Kernel make_matmul(const Making& making);
Kernel make_reshape(const Making& making);
Kernel make_concat(const Making& making);
Kernel make_transpose(const Making& making);
Kernel make_slice(const Making& making);
Kernel make_pad(const Making& making);
Kernel make_resize(const Making& making);
Kernel make_depth_to_space(const Making& making);
Kernel make_space_to_depth(const Making& making);
Kernel make_interpolate(const Making& making);
Kernel make_grid_sample(const Making& making);
Kernel make_roi_align(const Making& making);
Kernel make_non_max_suppression(const Making& making);
Kernel make_reduction(const Making& making);
Kernel make_softmax(const Making& making);
Kernel make_layer_norm(const Making& making);
Kernel make_gather(const Making& making);
Kernel make_gather_elements(const Making& making);
Kernel make_gather_nd(const Making& making);
Kernel make_scatter_elements(const Making& making);
Kernel make_scatter_nd(const Making& making);
Kernel make_arg_max(const Making& making);
Kernel make_arg_min(const Making& making);
Kernel make_top_values(const Making& making);
Kernel make_top_indices(const Making& making);
Kernel make_cum_sum(const Making& making);
Kernel make_integers(const Making& making);
Kernel make_cast(const Making& making);
Kernel make_where(const Making& making);
Kernel make_comparison(const Making& making);
Kernel make_rms_norm(const Making& making);
Kernel make_embedding(const Making& making);
Kernel make_recurrent(const Making& making);
Kernel make_lrn(const Making& making);
Kernel make_range(const Making& making);
Kernel make_expand(const Making& making);
Kernel make_tile(const Making& making);
Kernel make_triangle(const Making& making);
Kernel make_reverse(const Making& making);

}  // namespace netsurgery::plain
