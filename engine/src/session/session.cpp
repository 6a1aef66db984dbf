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
#include "base/sentences.hpp"
#include "graph/shapes.hpp"
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
constexpr std::size_t kMostCuts = 1024;  // sizes of which it is known how they are run
constexpr double kMeeting = 2000;        // cycles that a step takes longer when threads share it

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
  double cycles = 0;  // of a part
};

/// A run at some sizes, cut into parts that are run one by one, or by as many threads.
struct Cut {
  Sizes sizes{};
  std::vector<Run> runs;
  Size parts = 0;
  std::vector<Shape> output_shapes;
  double cycles = 0;
  std::uint64_t last_used = 0;
  bool ready = false;
  bool alone = true, apart = false;  // one thread does all; each thread takes parts of its own
};

/// A table in which an input's whole numbers are looked up.
struct Table {
  std::size_t input;
  Size rows;
};

std::vector<Table> tables_of(const Graph& graph) {
  std::vector<Table> tables;
  for (const Node& node : graph.nodes)
    if (node.op == Operator::kEmbedding)  // which only inputs can be looked up by
      tables.push_back({static_cast<std::size_t>(node.inputs[0]), graph.constant(node.inputs[1]).rows});
  return tables;
}

template <class Number>
void check_rows(const Number* numbers, Size rows, const Sizes& sizes, const Input& input) {
  Size count = 1;
  for (const Size size : input.shape) count *= is_open(size) ? sizes[axis_of(size)] : size;
  for (Size i = 0; i < count; ++i) {
    const Size number = static_cast<Size>(numbers[i]);
    if (number >= -rows && number < rows) continue;
    const Shape shape = shape_at(input.shape, sizes);
    Shape place(shape.size());
    Size rest = i;
    for (std::size_t axis = shape.size(); axis-- > 0; rest /= shape[axis]) place[axis] = rest % shape[axis];
    throw Error(NS_ERROR_INPUT, "input '" + input.name + "': " + std::to_string(number) + " at place " +
                                    text_of(place) + " is none of the table's " + std::to_string(rows) +
                                    " rows: 0 to " + std::to_string(rows - 1) + " are, or -" + std::to_string(rows) +
                                    " to -1.");
  }
}

}  // namespace

struct Session::Parts {
  Parts(Graph given, const SessionOptions& options)
      : graph(std::move(given)),
        kernels(kernels_for(chosen())),
        axis(separable_axis(graph)),
        tables(tables_of(graph)),
        plain_only(options.plain_only),
        count(options.threads > 0 ? options.threads : usable_cores()) {}

  Plan make(const Sizes& sizes, Size images, bool estimate_only) const {
    PlanOptions options;
    options.images = images;
    options.threads = count;
    options.plain_only = plain_only;
    options.estimate_only = estimate_only;
    return make_plan(graph, kernels, sizes, options);
  }

  bool is_separable() const { return axis != kNoAxis; }
  /// What a vector may hold several of: images, where they are apart, else what the first axis of the first input has.
  Size most_images(const Sizes& sizes) const {
    if (is_separable()) return sizes[axis];
    const Shape& first = graph.inputs.front().shape;
    return first.empty() ? 1 : is_open(first[0]) ? sizes[axis_of(first[0])] : graph.axes.empty() ? 1 : first[0];
  }
  Sizes with_images(Sizes sizes, Size images) const {
    if (is_separable()) sizes[axis] = images;
    return sizes;
  }

  /// The cheapest number of images in a vector, and what the run takes with it.
  std::pair<Size, double> cheapest(const Sizes& sizes) {
    const auto found = estimates.find(sizes);
    if (found != estimates.end()) return found->second;
    std::pair<Size, double> best{1, 0};
    const Size most = most_images(sizes);
    for (Size images = 1; images <= kVector && (images == 1 || images < 2 * most); images *= 2) {
      const double cycles = make(sizes, images, true).cycles;
      if (images == 1 || cycles < best.second) best = {images, cycles};
    }
    if (estimates.size() >= kMostCuts) estimates.clear();
    return estimates[sizes] = best;
  }

  Planned& planned(const Sizes& sizes) {
    const auto found = plans.find(sizes);
    if (found != plans.end()) return *found->second;
    auto made = std::make_unique<Planned>(make(sizes, cheapest(sizes).first, false));
    return *plans.emplace(sizes, std::move(made)).first->second;
  }

  /// Parts of 1, 2, 4, 8 or 16 images, whatever costs least for each image; a run that can't be cut is one part.
  Cut& cut(const Sizes& sizes) {
    if (newest && newest->sizes == sizes) return *newest;
    const auto found = cuts.find(sizes);
    if (found != cuts.end()) return *(newest = &found->second);
    Cut made;
    made.sizes = sizes;
    const std::vector<Shape> shapes = shapes_at(sizes);
    for (const int output : graph.outputs) made.output_shapes.push_back(shapes[static_cast<std::size_t>(output)]);
    const Size batch = is_separable() ? sizes[axis] : 1;
    for (Size first = 0; first < batch;) {
      Size best = 1;
      const auto cycles = [&](Size images) { return cheapest(with_images(sizes, images)).second; };
      const auto price = [&](Size images) { return cycles(images) / static_cast<double>(images); };
      for (Size images = 2; images <= std::min(batch - first, kMostInPart); images *= 2)
        if (price(images) < price(best)) best = images;
      const Size parts = (batch - first) / best;
      made.runs.push_back({first, best, parts, nullptr, cycles(best)});
      made.parts += parts;
      made.cycles += made.runs.back().cycles * static_cast<double>(parts);
      first += best * parts;
    }
    if (cuts.size() >= kMostCuts) forget_oldest_cut();
    return *(newest = &cuts.emplace(sizes, std::move(made)).first->second);
  }

  void forget_oldest_cut() {
    const auto older = [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; };
    cuts.erase(std::min_element(cuts.begin(), cuts.end(), older));
    newest = nullptr;
  }

  std::vector<Shape> shapes_at(const Sizes& sizes) const {
    std::string why;
    for (std::size_t i = 0; i < graph.axes.size(); ++i)
      if (sizes[i] < 1) why = graph.axes[i].name + " is " + std::to_string(sizes[i]) + "; at least 1 is needed.";
    if (why.empty()) try {
        return graph.shapes(sizes);
      } catch (const Error& error) {
        why = error.what();
        for (std::size_t i = 0; i < graph.axes.size(); ++i)
          if (sizes[i] < graph.axes[i].least)
            why += " It takes " + graph.axes[i].name + " from " + std::to_string(graph.axes[i].least) + " on.";
      }
    throw Error(NS_ERROR_INPUT, "the network can't run at " + graph.named(sizes) + ": " + why);
  }

  Cut& prepared(const Sizes& sizes) {
    Cut& made = cut(sizes);
    if (!made.ready) make_ready(made);
    made.last_used = ++uses;
    for (const Run& run : made.runs) run.planned->last_used = uses;
    return made;
  }

  /// Whole numbers that are looked up in tables have to be rows of theirs. Throws Error(NS_ERROR_INPUT).
  void check_numbers(const Sizes& sizes, const void* const* inputs) const {
    for (const Table& table : tables) {
      const Input& input = graph.inputs[table.input];
      if (input.type == ValueType::kInt32)
        check_rows(static_cast<const std::int32_t*>(inputs[table.input]), table.rows, sizes, input);
      else
        check_rows(static_cast<const std::int64_t*>(inputs[table.input]), table.rows, sizes, input);
    }
  }

  void make_ready(Cut& made) {
    try {
      prepare(made);
    } catch (...) {
      for (auto& [other_sizes, other] : cuts) other.ready = false;  // memory may have moved
      for (auto& [planned_sizes, one] : plans) one->bindings.clear();
      throw;
    }
  }

  void prepare(Cut& made) {
    for (Run& run : made.runs) run.planned = &planned(with_images(made.sizes, run.images));
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
      for (auto& [sizes, cut] : cuts) {
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
      apart += run.cycles * static_cast<double>((run.parts + count - 1) / count);
      together += (run.cycles / count + kMeeting * static_cast<double>(run.planned->plan.steps.size())) *
                  static_cast<double>(run.parts);
    }
    made.apart = apart <= together;
  }

  /// Addresses change where memory had to grow, for every batch that was prepared before.
  void bind(Cut& made, std::size_t workers) {
    if (grew) {
      for (auto& [planned_sizes, one] : plans) one->bindings.clear();
      for (auto& [other_sizes, other] : cuts)
        if (&other != &made && other.ready) bind_parts(other, other.alone ? 1 : static_cast<std::size_t>(count));
      grew = false;
    }
    bind_parts(made, workers);
  }

  void bind_parts(Cut& made, std::size_t workers) {
    for (const Run& run : made.runs) {
      Planned& one = *run.planned;
      const std::size_t needed = made.apart ? workers : 1;
      while (one.bindings.size() < needed) one.bindings.emplace_back(one.plan, arenas[one.bindings.size()], run.images);
      if (!made.alone && !made.apart && !one.sharing) one.sharing = std::make_unique<Sharing>(one.plan, count);
    }
  }

  void run(Cut& made, const void* const* inputs, float* const* outputs) {
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
    newest = nullptr;
    estimates.clear();
    threads.reset();
  }

  Graph graph;
  const Kernels& kernels;
  const std::size_t axis;  // of images that are worked on apart, or kNoAxis
  const std::vector<Table> tables;
  const bool plain_only;
  int count;
  bool grew = false;
  std::uint64_t uses = 0;
  std::unique_ptr<Threads> threads;
  std::map<Sizes, std::pair<Size, double>> estimates;
  std::map<Sizes, std::unique_ptr<Planned>> plans;
  std::map<Sizes, Cut> cuts;
  Cut* newest = nullptr;                // the one that was asked for last
  std::vector<Memory> arenas, scratch;  // by thread
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

const std::vector<Shape>& Session::output_shapes(const Sizes& sizes) { return parts_->cut(sizes).output_shapes; }

void Session::prepare(const Sizes& sizes) { parts_->prepared(sizes); }

double Session::cycles(const Sizes& sizes) { return parts_->cut(sizes).cycles; }

void Session::run(const Sizes& sizes, const void* const* inputs, float* const* outputs) {
  Cut& made = parts_->prepared(sizes);
  parts_->check_numbers(sizes, inputs);
  parts_->run(made, inputs, outputs);
}

std::vector<Session::StepTime> Session::profile(const Sizes& sizes, const void* const* inputs, float* const* outputs) {
  using Clock = std::chrono::steady_clock;
  Cut& made = parts_->prepared(sizes);
  parts_->check_numbers(sizes, inputs);
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
