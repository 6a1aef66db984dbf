// Which parts a batch is cut into, and which plan each part runs: chosen by what they cost, and kept for the next time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "graph/graph.hpp"
#include "isa/kernels.hpp"
#include "plan/plan.hpp"
#include "session/runner.hpp"

namespace netsurgery {

/// A plan and the memory that it runs in: for each thread that works alone, and for all together.
struct Planned {
  explicit Planned(Plan made) : plan(std::move(made)) {}
  Plan plan;
  std::vector<Binding> bindings;
  std::unique_ptr<Sharing> sharing;
  std::uint64_t last_used = 0;  // by the count of uses
};

/// Parts of as many images each, one after another.
struct Run {
  Size first, images, parts;
  Planned* planned = nullptr;
};

/// A batch cut into parts that are run one by one, or by as many threads.
struct Cut {
  std::vector<Run> runs;
  Size parts = 0;
  std::vector<Shape> output_shapes;
  double cycles = 0;
  bool ready = false;                // its plans are there, and bound to memory
  bool alone = true, apart = false;  // one thread does all; each thread takes parts of its own
};

class BatchPlans {
 public:
  /// The graph has to outlive it. threads >= 1: as many may share a batch.
  BatchPlans(const Graph& graph, const Kernels& kernels, bool plain_only, int threads);

  /// How a batch is cut; without plans before `plan`. Throws Error(NS_ERROR_INPUT) if the network can't run at it.
  Cut& cut(Size batch);
  /// Makes the plans of a cut, and drops those that were not used for longest.
  void plan(Cut& cut);
  /// Notes that the plans of a cut are used now.
  void use(const Cut& cut);
  /// Takes the memory away from all plans; cuts stay ready if they are given others before they run.
  void unbind();
  /// Nothing is ready any more, as after `unbind` without other memory.
  void discard();
  /// The cuts that are ready.
  std::vector<Cut*> ready();

 private:
  Plan made(Size batch, Size images, bool estimate_only) const;
  std::pair<Size, double> cheapest(Size batch);
  Planned& planned(Size batch);
  std::vector<Shape> shapes_at(Size batch) const;
  void forget_unused(const Cut& needed);
  void choose_sharing(Cut& cut) const;

  const Graph& graph_;
  const Kernels& kernels_;
  const bool separable_, plain_only_;
  const int threads_;
  std::uint64_t uses_ = 0;
  std::map<Size, std::pair<Size, double>> estimates_;  // by batch
  std::map<Size, std::unique_ptr<Planned>> plans_;     // by batch
  std::map<Size, Cut> cuts_;                           // by batch
};

}  // namespace netsurgery
