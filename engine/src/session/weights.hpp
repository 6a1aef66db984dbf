// The weights of a session's network, which are needed to make plans, not to run them.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "graph/graph.hpp"

namespace netsurgery {

/// Lets go of weights when a plan has packed its own, and reads them again for the next plan. Whoever needs a second
/// one may need more, of other sizes: then they stay.
class Weights {
 public:
  using Read = std::function<std::vector<std::shared_ptr<Constant>>()>;

  /// The graph has to outlive it. read: all constants of the graph once more; without it they always stay, as they do
  /// where there are fewer than `least` numbers.
  Weights(Graph& graph, Read read, Size least);

  /// Before a plan is made, or estimated. What `read` throws leaves everything as it was.
  void need();
  /// While the last plan for some sizes is made: of the constant with this number, which the plan has packed.
  void let_go(std::size_t constant);
  /// After it: of all.
  void let_go();

 private:
  bool may_go() const;

  Graph& graph_;
  Read read_;
  Size least_;
  Size kept_ = 0;                         // numbers of all constants
  bool away_ = false, all_away_ = false;  // some constants, all of them
  bool stay_ = false;                     // for good
};

}  // namespace netsurgery
