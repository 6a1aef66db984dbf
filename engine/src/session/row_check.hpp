// Whole numbers that are looked up in tables have to be rows of theirs, and lengths those of sequences.
#pragma once

#include <map>
#include <vector>

#include "graph/graph.hpp"

namespace netsurgery {

class RowCheck {
 public:
  /// The graph has to outlive it.
  explicit RowCheck(const Graph& graph);
  /// Throws Error(NS_ERROR_INPUT) for a number that is no row of its table, before anything is read there, and for a
  /// length that no sequence of an input can have.
  void check(const Sizes& sizes, const void* const* inputs) const;
  /// To be called before a check at these sizes, which takes no memory then.
  void prepare(const Sizes& sizes);

 private:
  /// A table in which an input's numbers are looked up.
  struct Table {
    std::size_t input;
    Size rows;
  };
  /// Lengths of the sequences of a recurrent layer.
  struct Lengths {
    std::size_t input, node;
  };
  const Graph& graph_;
  std::vector<Table> tables_;
  std::vector<Lengths> lengths_;
  std::map<Sizes, std::vector<Size>> longest_;  // of each of `lengths_`
};

}  // namespace netsurgery
