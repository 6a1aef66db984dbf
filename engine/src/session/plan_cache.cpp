#include "session/plan_cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "graph/shapes.hpp"
#include "lanes/fixed_point.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {
namespace {

constexpr double kAloneBelow = 150000;  // cycles of a run that other threads would only delay
constexpr std::size_t kMostPlans =
    16;  // with weights of its own; networks of separate images need 5 or 6 for any batch
constexpr std::size_t kMostCuts = 1024;  // sizes of which it is known how they are run
constexpr double kMuchCheaper = 1.5;     // so many times
constexpr double kWorthIt = 0.95;        // of the cycles of one thread: what several may take at most

/// Whether values may lie on grids.
bool rounds(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return puts_on_grid(node.op); });
}

}  // namespace

PlanCache::PlanCache(const Graph& graph, Weights& weights, const Kernels& kernels, bool plain_only, int threads)
    : graph_(graph),
      weights_(weights),
      kernels_(kernels),
      axis_(separable_axis(graph)),
      most_(rounds(graph) ? kShorts : kVector),
      plain_only_(plain_only),
      threads_(threads),
      forced_(forced()) {}

/// Parts of 1, 2, 4, 8, 16 or 32 images, whatever costs least for each image; a run that can't be cut is one part.
Cut& PlanCache::cut(const Sizes& sizes) {
  if (newest_ && newest_->sizes == sizes) return *newest_;
  const auto found = cuts_.find(sizes);
  if (found != cuts_.end()) return *(newest_ = &found->second);
  Cut made;
  made.sizes = sizes;
  output_shapes(sizes);  // throws if there are none
  const Size batch = is_separable() ? sizes[axis_] : 1;
  for (Size first = 0; first < batch;) {
    Size best = 1;
    const auto cycles = [&](Size images) { return cheapest(with_images(sizes, images)).cycles; };
    const auto price = [&](Size images) { return cycles(images) / static_cast<double>(images); };
    for (Size images = 2; images <= std::min(batch - first, most_); images *= 2)
      if (price(images) < price(best)) best = images;
    const Size parts = (batch - first) / best;
    made.runs.push_back({first, best, parts, nullptr, cycles(best)});
    made.parts += parts;
    made.cycles += made.runs.back().cycles * static_cast<double>(parts);
    first += best * parts;
  }
  if (cuts_.size() >= kMostCuts) forget_oldest_cut();
  return *(newest_ = &cuts_.emplace(sizes, std::move(made)).first->second);
}

const std::vector<Shape>& PlanCache::output_shapes(const Sizes& sizes) {
  const auto found = output_shapes_.find(sizes);
  if (found != output_shapes_.end()) return found->second;
  const std::vector<Shape> shapes = shapes_at(sizes);
  std::vector<Shape> made;
  for (const int output : graph_.outputs) made.push_back(shapes[static_cast<std::size_t>(output)]);
  if (output_shapes_.size() >= kMostCuts) output_shapes_.clear();
  return output_shapes_.emplace(sizes, std::move(made)).first->second;
}

void PlanCache::plan(Cut& cut) {
  for (Run& run : cut.runs) run.planned = &planned(with_images(cut.sizes, run.images), &run == &cut.runs.back());
  forget_unused(cut);
  choose_sharing(cut);
}

void PlanCache::use(Cut& cut) {
  cut.last_used = ++uses_;
  for (const Run& run : cut.runs) run.planned->last_used = uses_;
}

void PlanCache::unbind() {
  for (auto& [sizes, one] : plans_) one->bindings.clear();
}

void PlanCache::discard() {
  unbind();
  for (auto& [sizes, one] : cuts_) one.ready = false;
}

std::vector<Cut*> PlanCache::ready() {
  std::vector<Cut*> found;
  for (auto& [sizes, one] : cuts_)
    if (one.ready) found.push_back(&one);
  return found;
}

/// What a vector may hold several of: images, where they are apart, else what the first axis of the first input has.
Size PlanCache::most_images(const Sizes& sizes) const {
  if (is_separable()) return sizes[axis_];
  const Shape& first = graph_.inputs.front().shape;
  if (first.empty()) return 1;
  if (is_open(first[0])) return sizes[axis_of(first[0])];
  return graph_.axes.empty() ? 1 : first[0];
}

Sizes PlanCache::with_images(Sizes sizes, Size images) const {
  if (is_separable()) sizes[axis_] = images;
  return sizes;
}

Plan PlanCache::made(const Sizes& sizes, const Cheapest& way, Use use) const {
  weights_.need();
  PlanOptions options;
  options.images = way.images;
  options.whole_numbers = way.whole_numbers;
  // Into which parts a batch is cut decides in which order sums are taken: it is the same for any number of threads.
  options.threads = use == Use::kEstimate ? 1 : threads_;
  options.plain_only = plain_only_;
  options.estimate_only = use == Use::kEstimate;
  if (use == Use::kLast) options.packed = [this](std::size_t constant) { weights_.let_go(constant); };
  return make_plan(graph_, kernels_, sizes, options);
}

PlanCache::Forced PlanCache::forced() {
  const char* const word = std::getenv("NETSURGERY_FIXED");
  const std::string given = word ? word : "";
  if (given.empty()) return Forced::kNothing;
  if (given == "whole") return Forced::kWhole;
  if (given == "floats") return Forced::kFloats;
  throw Error(NS_ERROR_INSTRUCTIONS,
              "NETSURGERY_FIXED is '" + given + "': make it whole or floats, or unset the variable");
}

/// The cheapest way to run at these sizes.
PlanCache::Cheapest PlanCache::cheapest(const Sizes& sizes) {
  const auto found = estimates_.find(sizes);
  if (found != estimates_.end()) return found->second;
  Cheapest best;
  best.cycles = std::numeric_limits<double>::infinity();
  const bool rounds = most_ > kVector;
  const Size most = most_images(sizes);
  for (Size images = 1; images <= most_ && (images == 1 || images < 2 * most); images *= 2)
    for (const bool whole_numbers : {false, true}) {
      if (whole_numbers ? !rounds || forced_ == Forced::kFloats : rounds && forced_ == Forced::kWhole) continue;
      if (!whole_numbers && images > kVector) continue;
      Cheapest way{images, whole_numbers, 0};
      way.cycles = made(sizes, way, Use::kEstimate).cycles;
      if (way.cycles < best.cycles) best = way;
    }
  if (estimates_.size() >= kMostCuts) estimates_.clear();
  return estimates_[sizes] = best;
}

/// last: no other one is to be made for these sizes.
Planned& PlanCache::planned(const Sizes& sizes, bool last) {
  const auto found = plans_.find(sizes);
  if (found != plans_.end()) return *found->second;
  auto one = std::make_unique<Planned>(made(sizes, cheapest(sizes), last ? Use::kLast : Use::kToRun));
  return *plans_.emplace(sizes, std::move(one)).first->second;
}

std::vector<Shape> PlanCache::shapes_at(const Sizes& sizes) const {
  std::string reason;
  if (std::all_of(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(graph_.axes.size()),
                  [](Size size) { return size >= 1; }))
    try {
      return graph_.shapes(sizes);
    } catch (const Error& error) {
      reason = error.what();
    }
  throw Error(NS_ERROR_INPUT, "the network can't run at " + graph_.named(sizes) + ": " + graph_.why(sizes, reason));
}

void PlanCache::forget_oldest_cut() {
  const auto older = [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; };
  cuts_.erase(std::min_element(cuts_.begin(), cuts_.end(), older));
  newest_ = nullptr;
}

/// Drops the plans that were not used for longest, so that a server that sees every batch size doesn't keep weights
/// for all of them. A run that needs one of them later is prepared again.
void PlanCache::forget_unused(const Cut& needed) {
  const auto is_of = [](const Cut& cut, const Planned* plan) {
    return std::any_of(cut.runs.begin(), cut.runs.end(), [&](const Run& run) { return run.planned == plan; });
  };
  while (plans_.size() > kMostPlans) {
    auto oldest = plans_.end();
    for (auto one = plans_.begin(); one != plans_.end(); ++one) {
      if (is_of(needed, one->second.get())) continue;
      if (oldest == plans_.end() || one->second->last_used < oldest->second->last_used) oldest = one;
    }
    if (oldest == plans_.end()) return;
    for (auto& [sizes, cut] : cuts_) {
      if (!is_of(cut, oldest->second.get())) continue;
      cut.ready = false;
      for (Run& run : cut.runs) run.planned = nullptr;
    }
    plans_.erase(oldest);
  }
}

/// Threads that each take parts of the batch never wait; threads that share each step do, but all of them have work.
/// Of small networks some would only delay each other.
void PlanCache::choose_sharing(Cut& cut) const {
  cut.alone = threads_ == 1 || cut.cycles < kAloneBelow;
  cut.apart = false;
  if (cut.alone) return;
  double alone = 0, apart = 0, together = 0;
  for (const Run& run : cut.runs) {
    const double parts = static_cast<double>(run.parts);
    alone += run.cycles * parts;
    apart += run.cycles * static_cast<double>((run.parts + threads_ - 1) / threads_);
    together += shared_cycles(run.planned->plan, threads_) * parts;
  }
  cut.apart = cut.parts > 1 && apart <= together;
  cut.alone = !cut.apart && together >= kWorthIt * alone;
}

}  // namespace netsurgery
