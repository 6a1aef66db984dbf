// A place where threads wait for each other: a fraction of a microsecond when all of them run.
#pragma once

#include <atomic>
#include <thread>

#include "threads/threads.hpp"

namespace netsurgery {

class Barrier {
 public:
  explicit Barrier(int count) : count_(count), spins_(count <= usable_cores() ? kSpins : 0) {}

  void wait() {
    const unsigned phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      if (spins >= spins_) {
        std::this_thread::yield();
        continue;
      }
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }

 private:
  // About a millisecond. Whoever lets go of its core earlier looks idle to schedulers that then move it to a busy one;
  // but a thread that was interrupted for long isn't waited for at the price of everybody else.
  static constexpr int kSpins = 65536;
  const int count_;
  const int spins_;  // none where there are more threads than cores: the others need this one's
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
};

}  // namespace netsurgery
