// Whole numbers that are looked up in tables have to be rows of theirs.
#pragma once

#include <vector>

#include "graph/graph.hpp"

namespace netsurgery {

class RowCheck {
 public:
  /// The graph has to outlive it.
  explicit RowCheck(const Graph& graph);
  /// Throws Error(NS_ERROR_INPUT) for a number that is no row of its table, before anything is read there.
  void check(const Sizes& sizes, const void* const* inputs) const;

 private:
  /// A table in which an input's numbers are looked up.
  struct Table {
    std::size_t input;
    Size rows;
  };
  const Graph& graph_;
  std::vector<Table> tables_;
};

}  // namespace netsurgery
