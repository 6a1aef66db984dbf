#include "session/workplace.hpp"

#include <algorithm>

#include "base/arithmetic.hpp"

namespace netsurgery {

void Workplace::bind(Cut& cut, PlanCache& plans) {
  if (!cut.alone && !threads_) threads_ = std::make_unique<Threads>(count_);
  reserve(cut);
  if (grew_) {
    plans.unbind();
    for (const Cut* other : plans.ready()) bind_plans(*other);
    grew_ = false;
  }
  bind_plans(cut);
  cut.ready = true;
}

void Workplace::reserve(const Cut& cut) {
  const std::size_t sharing = workers(cut);
  if (arenas_.size() < sharing) arenas_.resize(sharing);
  if (scratch_.size() < sharing) scratch_.resize(sharing);
  Size most_arena = 0, most_scratch = 0;
  for (const Run& run : cut.runs) {
    most_arena = std::max(most_arena, run.planned->plan.arena_floats);
    most_scratch = std::max(most_scratch, run.planned->plan.scratch_floats);
  }
  for (std::size_t i = 0; i < (cut.apart ? sharing : 1); ++i) grew_ = arenas_[i].reserve(most_arena) || grew_;
  for (std::size_t i = 0; i < sharing; ++i) scratch_[i].reserve(most_scratch);
  scratches_.clear();
  for (const Memory& one : scratch_) scratches_.push_back(one.at(0));
}

void Workplace::bind_plans(const Cut& cut) {
  for (const Run& run : cut.runs) {
    Planned& one = *run.planned;
    const std::size_t needed = cut.apart ? workers(cut) : 1;
    while (one.bindings.size() < needed) one.bindings.emplace_back(one.plan, arenas_[one.bindings.size()], run.images);
    if (!cut.alone && !cut.apart && !one.sharing) one.sharing = std::make_unique<Sharing>(one.plan, count_);
  }
}

void Workplace::run(const Cut& cut, const void* const* inputs, void* const* outputs) {
  const DefaultArithmetic arithmetic;
  for (const Run& run : cut.runs) {
    if (cut.apart) {
      run_apart(run, inputs, outputs);
      continue;
    }
    Planned& one = *run.planned;
    Binding& binding = one.bindings[0];
    for (Size part = 0; part < run.parts; ++part) {
      binding.set(inputs, outputs, run.first + part * run.images);
      if (cut.alone)
        run_alone(one.plan, binding.buffers(), scratches_[0]);
      else
        one.sharing->run(*threads_, binding.buffers(), scratches_);
    }
  }
}

/// Each thread takes the next part that nobody has taken.
void Workplace::run_apart(const Run& run, const void* const* inputs, void* const* outputs) {
  Planned& one = *run.planned;
  next_.store(0, std::memory_order_relaxed);
  auto work = [&](int thread) {
    const auto index = static_cast<std::size_t>(thread);
    for (Size part; (part = next_.fetch_add(1, std::memory_order_relaxed)) < run.parts;) {
      one.bindings[index].set(inputs, outputs, run.first + part * run.images);
      run_alone(one.plan, one.bindings[index].buffers(), scratches_[index]);
    }
  };
  threads_->run(work);
}

}  // namespace netsurgery
