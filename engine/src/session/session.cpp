#include "session/session.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/arithmetic.hpp"
#include "base/error.hpp"
#include "isa/instructions.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"
#include "plan/plan.hpp"
#include "session/runner.hpp"
#include "threads/cores.hpp"
#include "threads/threads.hpp"

namespace netsurgery {
namespace {

constexpr Size kMostInPart = kVector;   // images: a lane for each
constexpr double kAloneBelow = 150000;  // cycles of a run that other threads would only delay
constexpr std::size_t kMostPlans = 16;  // each has weights of its own; networks of separate images need 5 for any batch
constexpr double kMeeting = 2000;       // cycles that a step takes longer when threads share it

/// A plan and the memory that it runs in: for each thread that works alone, and for all together.
struct Planned {
  explicit Planned(Plan made) : plan(std::move(made)) {}
  Plan plan;
  std::vector<Binding> bindings;
  std::unique_ptr<Sharing> sharing;
  std::uint64_t last_used = 0;  // by the session's count of runs
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
  bool ready = false;
  bool alone = true, apart = false;  // one thread does all; each thread takes parts of its own
};

}  // namespace

struct Session::Parts {
  Parts(Graph given, const SessionOptions& options)
      : graph(std::move(given)),
        kernels(kernels_for(chosen())),
        separable(is_separable(graph)),
        plain_only(options.plain_only),
        count(options.threads > 0 ? options.threads : usable_cores()) {}

  Plan make(Size batch, Size images, bool estimate_only) const {
    PlanOptions options;
    options.images = images;
    options.threads = count;
    options.plain_only = plain_only;
    options.estimate_only = estimate_only;
    return make_plan(graph, kernels, batch, options);
  }

  /// The cheapest number of images in a vector, and what the batch takes with it.
  std::pair<Size, double> cheapest(Size batch) {
    const auto found = estimates.find(batch);
    if (found != estimates.end()) return found->second;
    std::pair<Size, double> best{1, 0};
    for (Size images = 1; images <= kVector && (images == 1 || images < 2 * batch); images *= 2) {
      const double cycles = make(batch, images, true).cycles;
      if (images == 1 || cycles < best.second) best = {images, cycles};
    }
    return estimates[batch] = best;
  }

  Planned& planned(Size batch) {
    const auto found = plans.find(batch);
    if (found != plans.end()) return *found->second;
    auto made = std::make_unique<Planned>(make(batch, cheapest(batch).first, false));
    return *plans.emplace(batch, std::move(made)).first->second;
  }

  /// Parts of 1, 2, 4, 8 or 16 images, whatever costs least for each image; a batch that can't be cut is one part.
  Cut& cut(Size batch) {
    const auto found = cuts.find(batch);
    if (found != cuts.end()) return found->second;
    Cut made;
    const std::vector<Shape> shapes = shapes_at(batch);
    for (const int output : graph.outputs) made.output_shapes.push_back(shapes[static_cast<std::size_t>(output)]);
    for (Size first = 0; first < batch;) {
      Size best = separable ? 1 : batch;
      const auto price = [&](Size images) { return cheapest(images).second / static_cast<double>(images); };
      for (Size images = 2; separable && images <= std::min(batch - first, kMostInPart); images *= 2)
        if (price(images) < price(best)) best = images;
      const Size parts = (batch - first) / best;
      made.runs.push_back({first, best, parts, nullptr});
      made.parts += parts;
      made.cycles += cheapest(best).second * static_cast<double>(parts);
      first += best * parts;
    }
    return cuts.emplace(batch, std::move(made)).first->second;
  }

  std::vector<Shape> shapes_at(Size batch) const {
    if (batch < 1)
      throw Error(NS_ERROR_INPUT, "a batch of " + std::to_string(batch) + " was given; at least 1 is needed.");
    try {
      return graph.shapes(batch);
    } catch (const Error& error) {
      throw Error(NS_ERROR_INPUT, "the network can't run at a batch of " + std::to_string(batch) + ": " + error.what());
    }
  }

  /// A network whose batch isn't open has one.
  Cut& cut_at(Size batch) { return cut(graph.dynamic_batch() ? batch : 1); }

  Cut& prepared(Size batch) {
    Cut& made = cut_at(batch);
    if (!made.ready) make_ready(made);
    ++uses;
    for (const Run& run : made.runs) run.planned->last_used = uses;
    return made;
  }

  void make_ready(Cut& made) {
    try {
      prepare(made);
    } catch (...) {
      for (auto& [other_batch, other] : cuts) other.ready = false;  // memory may have moved
      for (auto& [images, one] : plans) one->bindings.clear();
      throw;
    }
  }

  void prepare(Cut& made) {
    for (Run& run : made.runs) run.planned = &planned(run.images);
    forget_unused(made);
    choose_sharing(made);
    const std::size_t workers = made.alone ? 1 : static_cast<std::size_t>(count);
    if (!made.alone && !threads) threads = std::make_unique<Threads>(count);
    if (arenas.size() < workers) arenas.resize(workers);
    if (scratch.size() < workers) scratch.resize(workers);
    Size most_arena = 0, most_scratch = 0;
    for (const Run& run : made.runs) {
      most_arena = std::max(most_arena, run.planned->plan.arena_floats);
      most_scratch = std::max(most_scratch, run.planned->plan.scratch_floats);
    }
    for (std::size_t i = 0; i < (made.apart ? workers : 1); ++i) grew = arenas[i].reserve(most_arena) || grew;
    for (std::size_t i = 0; i < workers; ++i) scratch[i].reserve(most_scratch);
    scratches.clear();
    for (const Memory& one : scratch) scratches.push_back(one.at(0));
    bind(made, workers);
    made.ready = true;
  }

  /// Drops the plans that were not used for longest, so that a server that sees every batch size doesn't keep weights
  /// for all of them. A batch that needs one of them later is prepared again.
  void forget_unused(const Cut& needed) {
    const auto is_of = [](const Cut& cut, const Planned* plan) {
      return std::any_of(cut.runs.begin(), cut.runs.end(), [&](const Run& run) { return run.planned == plan; });
    };
    while (plans.size() > kMostPlans) {
      auto oldest = plans.end();
      for (auto one = plans.begin(); one != plans.end(); ++one) {
        if (is_of(needed, one->second.get())) continue;
        if (oldest == plans.end() || one->second->last_used < oldest->second->last_used) oldest = one;
      }
      if (oldest == plans.end()) return;
      for (auto& [batch, cut] : cuts) {
        if (!is_of(cut, oldest->second.get())) continue;
        cut.ready = false;
        for (Run& run : cut.runs) run.planned = nullptr;
      }
      plans.erase(oldest);
    }
  }

  /// Threads that each take parts of the batch never wait; threads that share each step do, but all of them have work.
  void choose_sharing(Cut& made) const {
    made.alone = count == 1 || made.cycles < kAloneBelow;
    made.apart = false;
    if (made.alone || made.parts == 1) return;
    double apart = 0, together = 0;
    for (const Run& run : made.runs) {
      const double cycles = estimates.at(run.images).second;
      apart += cycles * static_cast<double>((run.parts + count - 1) / count);
      together += (cycles / count + kMeeting * static_cast<double>(run.planned->plan.steps.size())) *
                  static_cast<double>(run.parts);
    }
    made.apart = apart <= together;
  }

  /// Addresses change where memory had to grow, for every batch that was prepared before.
  void bind(Cut& made, std::size_t workers) {
    if (grew) {
      for (auto& [images, one] : plans) one->bindings.clear();
      for (auto& [batch, other] : cuts)
        if (&other != &made && other.ready) bind_parts(other, other.alone ? 1 : static_cast<std::size_t>(count));
      grew = false;
    }
    bind_parts(made, workers);
  }

  void bind_parts(Cut& made, std::size_t workers) {
    for (const Run& run : made.runs) {
      Planned& one = *run.planned;
      const std::size_t needed = made.apart ? workers : 1;
      while (one.bindings.size() < needed) one.bindings.emplace_back(one.plan, arenas[one.bindings.size()]);
      if (!made.alone && !made.apart && !one.sharing) one.sharing = std::make_unique<Sharing>(one.plan, count);
    }
  }

  void run(Cut& made, const float* const* inputs, float* const* outputs) {
    const DefaultArithmetic arithmetic;
    for (const Run& run : made.runs) {
      Planned& one = *run.planned;
      const auto bind = [&](std::size_t thread, Size part) {
        one.bindings[thread].set(inputs, outputs, run.first + part * run.images);
        return one.bindings[thread].buffers();
      };
      if (made.apart) {
        next.store(0, std::memory_order_relaxed);
        auto work = [&](int thread) {
          const auto index = static_cast<std::size_t>(thread);
          for (Size part; (part = next.fetch_add(1, std::memory_order_relaxed)) < run.parts;)
            run_alone(one.plan, bind(index, part), scratches[index]);
        };
        threads->run(work);
        continue;
      }
      for (Size part = 0; part < run.parts; ++part) {
        if (made.alone)
          run_alone(one.plan, bind(0, part), scratches[0]);
        else
          one.sharing->run(*threads, bind(0, part), scratches);
      }
    }
  }

  void forget() {
    plans.clear();
    cuts.clear();
    estimates.clear();
    threads.reset();
  }

  Graph graph;
  const Kernels& kernels;
  bool separable, plain_only;
  int count;
  bool grew = false;
  std::uint64_t uses = 0;
  std::unique_ptr<Threads> threads;
  std::map<Size, std::pair<Size, double>> estimates;  // by batch
  std::map<Size, std::unique_ptr<Planned>> plans;     // by batch
  std::map<Size, Cut> cuts;                           // by batch
  std::vector<Memory> arenas, scratch;                // by thread
  std::vector<float*> scratches;
  std::atomic<Size> next{0};
};

Session::Session(Graph graph, const SessionOptions& options)
    : parts_(std::make_unique<Parts>(std::move(graph), options)) {}

Session::~Session() = default;

const Graph& Session::graph() const { return parts_->graph; }

int Session::threads() const { return parts_->count; }

void Session::set_threads(int threads) {
  if (threads == parts_->count) return;
  parts_->forget();
  parts_->count = threads;
}

const std::vector<Shape>& Session::output_shapes(Size batch) { return parts_->cut_at(batch).output_shapes; }

void Session::prepare(Size batch) { parts_->prepared(batch); }

double Session::cycles(Size batch) { return parts_->cut_at(batch).cycles; }

void Session::run(Size batch, const float* const* inputs, float* const* outputs) {
  parts_->run(parts_->prepared(batch), inputs, outputs);
}

std::vector<Session::StepTime> Session::profile(Size batch, const float* const* inputs, float* const* outputs) {
  using Clock = std::chrono::steady_clock;
  Cut& made = parts_->prepared(batch);
  const DefaultArithmetic arithmetic;
  std::vector<StepTime> times;
  for (const Run& run : made.runs)
    for (Size part = 0; part < run.parts; ++part) {
      Planned& one = *run.planned;
      one.bindings[0].set(inputs, outputs, run.first + part * run.images);
      for (std::size_t i = 0; i < one.plan.steps.size(); ++i) {
        const Step& step = *one.plan.steps[i];
        const StepInfo& info = one.plan.infos[i];
        const Clock::time_point begin = Clock::now();
        step.run(one.bindings[0].buffers(), 0, step.pieces(), parts_->scratches[0]);
        const std::chrono::duration<double, std::micro> taken = Clock::now() - begin;
        times.push_back({info.node, info.kind, taken.count(), info.multiply_adds});
      }
    }
  return times;
}

}  // namespace netsurgery
