// Operators of one operand or two that the kernel table has a function for.
#pragma once

#include <optional>

#include "graph/graph.hpp"
#include "isa/kernels.hpp"

namespace netsurgery::plain {

struct KernelFunction {
  AppliedFunction activation;
  Size cost;  // cycles for an entry, without vectors
};

/// What an entrywise node computes; nothing where the table has no kernel for it.
std::optional<KernelFunction> kernel_function(const Node& node);

/// The same for two operands of floats.
std::optional<Pair> kernel_pair(Operator op);

}  // namespace netsurgery::plain
