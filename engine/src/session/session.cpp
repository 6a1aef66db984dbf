#include "session/session.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/arithmetic.hpp"
#include "base/error.hpp"
#include "isa/instructions.hpp"
#include "isa/kernels.hpp"
#include "session/plan_cache.hpp"
#include "session/row_check.hpp"
#include "session/workplace.hpp"
#include "threads/cores.hpp"

namespace netsurgery {

/// The plans that a session has made, and what they run with: both are for a number of threads.
struct Session::Prepared {
  Prepared(const Graph& graph, Weights& given, const Kernels& kernels, bool plain_only, int count)
      : plans(graph, given, kernels, plain_only, count),
        rows(graph),
        workplace(count),
        weights(given),
        threads(count) {}

  Cut& cut(const Sizes& sizes) {
    Cut& found = plans.cut(sizes);
    if (!found.ready) {
      try {
        plans.plan(found);
        weights.let_go();
        workplace.bind(found, plans);
      } catch (...) {
        plans.discard();  // memory may have moved
        throw;
      }
    }
    rows.prepare(sizes);
    plans.use(found);
    return found;
  }

  PlanCache plans;
  RowCheck rows;
  Workplace workplace;
  Weights& weights;
  const int threads;
};

Session::Session(Graph graph, const SessionOptions& options, Weights::Read read)
    : graph_(std::move(graph)),
      weights_(graph_, std::move(read), options.lets_go_from),
      kernels_(kernels_for(chosen())),
      plain_only_(options.plain_only) {
  set_threads(options.threads > 0 ? options.threads : usable_cores());
}

Session::~Session() = default;

int Session::threads() const { return prepared_->threads; }

void Session::set_threads(int threads) {
  if (!prepared_ || threads != prepared_->threads)
    prepared_ = std::make_unique<Prepared>(graph_, weights_, kernels_, plain_only_, threads);
}

const std::vector<Shape>& Session::output_shapes(const Sizes& sizes) { return prepared_->plans.output_shapes(sizes); }

void Session::prepare(const Sizes& sizes) { prepared_->cut(sizes); }

double Session::cycles(const Sizes& sizes) { return prepared_->plans.cut(sizes).cycles; }

void Session::run(const Sizes& sizes, const void* const* inputs, void* const* outputs) {
  const Cut& cut = prepared_->cut(sizes);
  prepared_->rows.check(sizes, inputs);
  prepared_->workplace.run(cut, inputs, outputs);
  refuse_faults(cut);
}

/// What steps met that they couldn't compute.
void Session::refuse_faults(const Cut& cut) const {
  std::string first;
  for (const Run& run : cut.runs)
    for (const std::size_t place : run.planned->plan.watched) {
      const std::string fault = run.planned->plan.steps[place]->fault();  // of all, so that none is said in a later run
      if (fault.empty() || !first.empty()) continue;
      const auto node = static_cast<std::size_t>(run.planned->plan.infos[place].node);
      first = "node " + std::to_string(node + 1) + ", " + entry_of(graph_.nodes[node].op).name + ": " + fault;
    }
  if (!first.empty()) throw Error(NS_ERROR_INPUT, first);
}

std::vector<Session::StepTime> Session::profile(const Sizes& sizes, const void* const* inputs, void* const* outputs) {
  using Clock = std::chrono::steady_clock;
  const Cut& cut = prepared_->cut(sizes);
  prepared_->rows.check(sizes, inputs);
  const DefaultArithmetic arithmetic;
  std::vector<StepTime> times;
  for (const Run& run : cut.runs)
    for (Size part = 0; part < run.parts; ++part) {
      Planned& one = *run.planned;
      one.bindings[0].set(inputs, outputs, run.first + part * run.images);
      for (std::size_t i = 0; i < one.plan.steps.size(); ++i) {
        const Step& step = *one.plan.steps[i];
        const StepInfo& info = one.plan.infos[i];
        const Clock::time_point begin = Clock::now();
        step.run(one.bindings[0].buffers(), 0, step.pieces(), prepared_->workplace.scratch());
        const std::chrono::duration<double, std::micro> taken = Clock::now() - begin;
        times.push_back({info.node, info.kind, taken.count(), info.multiply_adds});
      }
    }
  refuse_faults(cut);
  return times;
}

}  // namespace netsurgery
