// A loaded network that runs. The C interface and the Python module are thin faces of this class.
#pragma once

#include <memory>

#include "graph/graph.hpp"
#include "session/weights.hpp"

namespace netsurgery {

struct Kernels;

struct SessionOptions {
  int threads = 0;              // 0: one for each core that the process may use
  bool plain_only = false;      // for tests: every operator on the path that handles anything
  Size lets_go_from = 1 << 18;  // numbers of all weights: a network of fewer keeps them between plans
};

struct Cut;

class Session {
 public:
  /// read: see Weights.
  explicit Session(Graph graph, const SessionOptions& options = {}, Weights::Read read = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Graph& graph() const { return graph_; }
  int threads() const;
  void set_threads(int threads);
  /// Shapes of the outputs. Throws Error(NS_ERROR_INPUT) if the network can't run at these sizes.
  const std::vector<Shape>& output_shapes(const Sizes& sizes);
  void prepare(const Sizes& sizes);
  /// inputs: of their types. Throws Error(NS_ERROR_INPUT), too, for a whole number that is no row of its table.
  void run(const Sizes& sizes, const void* const* inputs, void* const* outputs);
  /// An estimate of what a run at these sizes takes of one core.
  double cycles(const Sizes& sizes);

  struct StepTime {
    int node;  // of the graph, -1: none
    const char* kind;
    double microseconds;
    Size multiply_adds;  // with weights that are not zero
  };
  /// One run on the calling thread, and how long each step of it took.
  std::vector<StepTime> profile(const Sizes& sizes, const void* const* inputs, void* const* outputs);

 private:
  struct Prepared;
  void refuse_faults(const Cut& cut) const;

  Graph graph_;
  Weights weights_;
  const Kernels& kernels_;
  const bool plain_only_;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace netsurgery
