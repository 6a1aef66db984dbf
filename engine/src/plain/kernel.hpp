// Operators on whole arrays in NumPy's order: every operator, any shape. What has no faster path runs here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "isa/kernels.hpp"

namespace netsurgery {

/// One node at work, made when a run is planned. Running allocates nothing and throws nothing.
class PlainKernel {
 public:
  virtual ~PlainKernel() = default;
  /// How many pieces of work there are that don't depend on each other. Results don't depend on who runs which.
  virtual Size pieces() const = 0;
  /// Floats of scratch memory that each thread needs.
  virtual Size scratch() const { return 0; }
  /// Work in units of one multiply-add, to decide whether threads pay.
  virtual Size cost() const = 0;
  /// May `output` be the memory of the first input? Then every entry is read before it is written, by the same piece.
  virtual bool in_place() const { return false; }
  /// Can a run meet what it can't compute: an index that is no place?
  virtual bool may_fail() const { return false; }
  /// What the last run met of that, as a sentence; "" if nothing. It is forgotten then.
  virtual std::string fault() const { return ""; }
  /// Pieces begin .. end - 1. inputs: one pointer for each operand that isn't a constant weight or bias (those were
  /// taken when the kernel was made), nullptr where one is left out. One of another type than float32 is the address of
  /// such entries.
  virtual void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const = 0;
};

/// The kernel of a node for operands of these shapes. Constants that it reads while it runs it keeps.
std::unique_ptr<PlainKernel> make_plain_kernel(const Graph& graph, const Node& node, const std::vector<Shape>& operands,
                                               const Shape& output, const Kernels& kernels = kernels_for(chosen()));

}  // namespace netsurgery
