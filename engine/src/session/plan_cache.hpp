// Into which parts a run at some sizes is cut, and which plan each part runs: chosen by what they cost, and kept for
// the next time.
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
#include "session/weights.hpp"

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
  double cycles = 0;  // of a part
};

/// A run at some sizes, cut into parts that are run one by one, or by as many threads.
struct Cut {
  Sizes sizes{};
  std::vector<Run> runs;
  Size parts = 0;
  double cycles = 0;
  std::uint64_t last_used = 0;       // by the count of uses
  bool ready = false;                // its plans are there, and bound to memory
  bool alone = true, apart = false;  // one thread does all; each thread takes parts of its own
};

class PlanCache {
 public:
  /// Graph and weights have to outlive it. threads >= 1: as many may share a run.
  PlanCache(const Graph& graph, Weights& weights, const Kernels& kernels, bool plain_only, int threads);

  /// How a run at these sizes is cut; without plans before `plan`, and good until the next call. Throws
  /// Error(NS_ERROR_INPUT) if the network can't run at them.
  Cut& cut(const Sizes& sizes);
  /// Good until the next call, and found without weights. Throws as `cut`.
  const std::vector<Shape>& output_shapes(const Sizes& sizes);
  /// Makes the plans of a cut, and drops those that were not used for longest.
  void plan(Cut& cut);
  /// Notes that a cut and its plans are used now.
  void use(Cut& cut);
  /// Takes the memory away from all plans; cuts stay ready if they are given others before they run.
  void unbind();
  /// Nothing is ready any more, as after `unbind` without other memory.
  void discard();
  /// The cuts that are ready.
  std::vector<Cut*> ready();

 private:
  /// Whether NETSURGERY_FIXED says in which vectors values in fixed point lie, where that may be chosen.
  enum class Forced : std::uint8_t { kNothing, kWhole, kFloats };
  static Forced forced();
  bool is_separable() const { return axis_ != kNoAxis; }
  Size most_images(const Sizes& sizes) const;
  Sizes with_images(Sizes sizes, Size images) const;
  /// The images in a vector, and whether whole numbers have vectors of their own, that take the least time.
  struct Cheapest {
    Size images = 1;
    bool whole_numbers = false;
    double cycles = 0;
  };
  enum class Use : std::uint8_t { kEstimate, kToRun, kLast };  // kLast: weights may go as soon as they are packed
  Plan made(const Sizes& sizes, const Cheapest& way, Use use) const;
  Cheapest cheapest(const Sizes& sizes);
  Planned& planned(const Sizes& sizes, bool last);
  std::vector<Shape> shapes_at(const Sizes& sizes) const;
  void forget_oldest_cut();
  void forget_unused(const Cut& needed);
  void choose_sharing(Cut& cut) const;

  const Graph& graph_;
  Weights& weights_;
  const Kernels& kernels_;
  const std::size_t axis_;  // of images that are worked on apart, or kNoAxis
  const Size most_;         // images that may share a vector
  const bool plain_only_;
  const int threads_;
  const Forced forced_;
  std::uint64_t uses_ = 0;
  std::map<Sizes, Cheapest> estimates_;
  std::map<Sizes, std::unique_ptr<Planned>> plans_;
  std::map<Sizes, Cut> cuts_;
  std::map<Sizes, std::vector<Shape>> output_shapes_;
  Cut* newest_ = nullptr;  // the one that was asked for last
};

}  // namespace netsurgery
