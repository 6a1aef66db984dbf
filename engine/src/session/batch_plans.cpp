#include "session/batch_plans.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {
namespace {

constexpr Size kMostInPart = kVector;   // images: a lane for each
constexpr double kAloneBelow = 150000;  // cycles of a run that other threads would only delay
constexpr std::size_t kMostPlans = 16;  // each has weights of its own; networks of separate images need 5 for any batch
constexpr double kMeeting = 2000;       // cycles that a step takes longer when threads share it

}  // namespace

BatchPlans::BatchPlans(const Graph& graph, const Kernels& kernels, bool plain_only, int threads)
    : graph_(graph), kernels_(kernels), separable_(is_separable(graph)), plain_only_(plain_only), threads_(threads) {}

/// Parts of 1, 2, 4, 8 or 16 images, whatever costs least for each image; a batch that can't be cut is one part. A
/// network whose batch isn't open has one.
Cut& BatchPlans::cut(Size batch) {
  if (!graph_.dynamic_batch()) batch = 1;
  const auto found = cuts_.find(batch);
  if (found != cuts_.end()) return found->second;
  Cut made;
  const std::vector<Shape> shapes = shapes_at(batch);
  for (const int output : graph_.outputs) made.output_shapes.push_back(shapes[static_cast<std::size_t>(output)]);
  for (Size first = 0; first < batch;) {
    Size best = separable_ ? 1 : batch;
    const auto price = [&](Size images) { return cheapest(images).second / static_cast<double>(images); };
    for (Size images = 2; separable_ && images <= std::min(batch - first, kMostInPart); images *= 2)
      if (price(images) < price(best)) best = images;
    const Size parts = (batch - first) / best;
    made.runs.push_back({first, best, parts, nullptr});
    made.parts += parts;
    made.cycles += cheapest(best).second * static_cast<double>(parts);
    first += best * parts;
  }
  return cuts_.emplace(batch, std::move(made)).first->second;
}

void BatchPlans::plan(Cut& cut) {
  for (Run& run : cut.runs) run.planned = &planned(run.images);
  forget_unused(cut);
  choose_sharing(cut);
}

void BatchPlans::use(const Cut& cut) {
  ++uses_;
  for (const Run& run : cut.runs) run.planned->last_used = uses_;
}

void BatchPlans::unbind() {
  for (auto& [images, one] : plans_) one->bindings.clear();
}

void BatchPlans::discard() {
  unbind();
  for (auto& [batch, one] : cuts_) one.ready = false;
}

std::vector<Cut*> BatchPlans::ready() {
  std::vector<Cut*> found;
  for (auto& [batch, one] : cuts_)
    if (one.ready) found.push_back(&one);
  return found;
}

Plan BatchPlans::made(Size batch, Size images, bool estimate_only) const {
  PlanOptions options;
  options.images = images;
  options.threads = threads_;
  options.plain_only = plain_only_;
  options.estimate_only = estimate_only;
  return make_plan(graph_, kernels_, batch, options);
}

/// The cheapest number of images in a vector, and what the batch takes with it.
std::pair<Size, double> BatchPlans::cheapest(Size batch) {
  const auto found = estimates_.find(batch);
  if (found != estimates_.end()) return found->second;
  std::pair<Size, double> best{1, 0};
  for (Size images = 1; images <= kVector && (images == 1 || images < 2 * batch); images *= 2) {
    const double cycles = made(batch, images, true).cycles;
    if (images == 1 || cycles < best.second) best = {images, cycles};
  }
  return estimates_[batch] = best;
}

Planned& BatchPlans::planned(Size batch) {
  const auto found = plans_.find(batch);
  if (found != plans_.end()) return *found->second;
  auto one = std::make_unique<Planned>(made(batch, cheapest(batch).first, false));
  return *plans_.emplace(batch, std::move(one)).first->second;
}

std::vector<Shape> BatchPlans::shapes_at(Size batch) const {
  if (batch < 1)
    throw Error(NS_ERROR_INPUT, "a batch of " + std::to_string(batch) + " was given; at least 1 is needed.");
  try {
    return graph_.shapes(batch);
  } catch (const Error& error) {
    throw Error(NS_ERROR_INPUT, "the network can't run at a batch of " + std::to_string(batch) + ": " + error.what());
  }
}

/// Drops the plans that were not used for longest, so that a server that sees every batch size doesn't keep weights
/// for all of them. A batch that needs one of them later is prepared again.
void BatchPlans::forget_unused(const Cut& needed) {
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
    for (auto& [batch, cut] : cuts_) {
      if (!is_of(cut, oldest->second.get())) continue;
      cut.ready = false;
      for (Run& run : cut.runs) run.planned = nullptr;
    }
    plans_.erase(oldest);
  }
}

/// Threads that each take parts of the batch never wait; threads that share each step do, but all of them have work.
void BatchPlans::choose_sharing(Cut& cut) const {
  cut.alone = threads_ == 1 || cut.cycles < kAloneBelow;
  cut.apart = false;
  if (cut.alone || cut.parts == 1) return;
  double apart = 0, together = 0;
  for (const Run& run : cut.runs) {
    const double cycles = estimates_.at(run.images).second;
    apart += cycles * static_cast<double>((run.parts + threads_ - 1) / threads_);
    together += (cycles / threads_ + kMeeting * static_cast<double>(run.planned->plan.steps.size())) *
                static_cast<double>(run.parts);
  }
  cut.apart = apart <= together;
}

}  // namespace netsurgery
