// A place where threads wait for each other: a fraction of a microsecond when all of them run.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "threads/threads.hpp"

namespace netsurgery {

class Barrier {
 public:
  explicit Barrier(int count) : count_(count), spins_(count <= usable_cores()) {}

  void wait() {
    const unsigned phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    Clock::time_point first_look;
    for (int looks = 0; phase_.load(std::memory_order_acquire) == phase; ++looks) {
      if (looks == kLooksPerTime && spins_) first_look = Clock::now();
      const bool asks = looks > kLooksPerTime && looks % kLooksPerTime == 0;
      if (!spins_ || (asks && Clock::now() - first_look > kSpin)) {
        yield_until(phase);
        return;
      }
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  // Whoever lets go of its core earlier looks idle to schedulers that then move it to a busy one; but a thread that was
  // interrupted for long isn't waited for at the price of everybody else. Pauses take from 10 to 140 cycles.
  static constexpr std::chrono::microseconds kSpin{1000};
  static constexpr int kLooksPerTime = 64;  // reading the clock takes as long as some looks

  void yield_until(unsigned phase) const {
    while (phase_.load(std::memory_order_acquire) == phase) std::this_thread::yield();
  }

  const int count_;
  const bool spins_;  // not where there are more threads than cores: the others need this one's
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> phase_{0};
};

}  // namespace netsurgery
