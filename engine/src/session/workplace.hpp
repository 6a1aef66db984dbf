// The memory and the threads that plans run with. Every run of a session has the same.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "session/plan_cache.hpp"
#include "session/runner.hpp"
#include "threads/threads.hpp"

namespace netsurgery {

class Workplace {
 public:
  /// threads >= 1; they are started when a run is first shared.
  explicit Workplace(int threads) : count_(threads) {}

  /// Finds memory for a cut that is planned, and binds its plans to it. Addresses change where memory has to grow:
  /// what is ready among `plans` is bound again.
  void bind(Cut& cut, PlanCache& plans);
  /// Runs a cut that is ready.
  void run(const Cut& cut, const void* const* inputs, void* const* outputs);
  /// Memory for a step that one thread takes alone.
  float* scratch() const { return scratches_[0]; }

 private:
  std::size_t workers(const Cut& cut) const { return cut.alone ? 1 : static_cast<std::size_t>(count_); }
  void reserve(const Cut& cut);
  void bind_plans(const Cut& cut);
  void run_apart(const Run& run, const void* const* inputs, void* const* outputs);

  const int count_;
  bool grew_ = false;
  std::unique_ptr<Threads> threads_;
  std::vector<Memory> arenas_, scratch_;  // by thread
  std::vector<float*> scratches_;
  std::atomic<Size> next_{0};
};

}  // namespace netsurgery
