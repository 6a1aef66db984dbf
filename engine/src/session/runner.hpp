// Runs plans: memory for their values, and threads that share their steps or take one part of a batch each.
#pragma once

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "plan/plan.hpp"
#include "threads/barrier.hpp"
#include "threads/threads.hpp"

namespace netsurgery {

/// Floats at an address that is a multiple of 64, zero at first.
class Memory {
 public:
  /// At least as large; what was there is lost if it has to grow. True if it had to.
  bool reserve(Size floats);
  float* at(Size offset) const { return floats_.get() + offset; }

 private:
  struct Free {
    void operator()(float* floats) const { ::operator delete(floats, std::align_val_t(64)); }
  };
  std::unique_ptr<float, Free> floats_;
  Size size_ = 0;
};

/// A plan's buffers, bound to memory.
class Binding {
 public:
  /// images: that the plan is for, of a run that is done in parts; 1 where it is not.
  Binding(const Plan& plan, const Memory& arena, Size images);
  void set(const void* const* inputs, void* const* outputs, Size first_image);
  Buffers buffers() const { return addresses_.data(); }

 private:
  struct Outside {
    std::size_t buffer;
    bool input;
    std::size_t number;
    Size bytes_per_image;
  };
  std::vector<float*> addresses_;
  std::vector<Outside> outside_;
};

/// One step after the other on one thread.
void run_alone(const Plan& plan, Buffers buffers, float* scratch);

/// Cycles of a plan whose steps threads share, roughly: they meet, and what one has made another one reads.
double shared_cycles(const Plan& plan, int threads);

/// Every thread works on every step that is worth it, the first one does the others.
///
/// Each thread begins with its own share of a step's pieces, the same part of the picture as in the steps before, which
/// it has in its caches; when that is done it takes pieces from the others. Of steps that go on from what they have
/// done, each thread does its own share of the pieces at a time, and waits for the others.
class Sharing {
 public:
  Sharing(const Plan& plan, int threads);
  void run(Threads& threads, Buffers buffers, const std::vector<float*>& scratch);

 private:
  struct alignas(64) Next {
    std::atomic<Size> piece{0};
  };
  void work(Buffers buffers, float* scratch, int thread);
  /// The thread's own share of a step's pieces lies before it again.
  void begin(std::size_t step, int thread);
  Next& next(std::size_t step, int thread) {
    return next_[step * static_cast<std::size_t>(threads_) + static_cast<std::size_t>(thread)];
  }

  const Plan& plan_;
  int threads_;
  std::vector<bool> shared_;      // by step
  std::unique_ptr<Next[]> next_;  // by step and thread
  Barrier barrier_;
};

}  // namespace netsurgery
