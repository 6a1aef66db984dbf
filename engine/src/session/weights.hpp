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
  Weights(Graph& graph, Read read, Size least) : graph_(graph), read_(std::move(read)), least_(least) {}

  /// Before a plan is made, or estimated. What `read` throws leaves everything as it was.
  void need();
  /// After it.
  void let_go();

 private:
  Graph& graph_;
  Read read_;
  Size least_;
  bool away_ = false, stay_ = false;
};

}  // namespace netsurgery
