// A place where threads wait for each other: a fraction of a microsecond when all of them run.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "threads/threads.hpp"

namespace netsurgery {

/// Each thread says on a cache line of its own how often it has come, and looks at those of the others: a line goes
/// from core to core once, while a counter that all of them change would go round.
class Barrier {
 public:
  /// Threads 0 .. count - 1.
  explicit Barrier(int count)
      : count_(count), spins_(count <= usable_cores()), arrivals_(new Arrivals[static_cast<std::size_t>(count)]) {}

  void wait(int thread) {
    std::atomic<unsigned>& own = arrivals_[static_cast<std::size_t>(thread)].times;
    const unsigned times = own.load(std::memory_order_relaxed) + 1;
    own.store(times, std::memory_order_release);
    for (int i = 1; i < count_; ++i) {
      const int other = thread + i < count_ ? thread + i : thread + i - count_;  // each begins with another one
      watch(arrivals_[static_cast<std::size_t>(other)].times, times);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct alignas(64) Arrivals {
    std::atomic<unsigned> times{0};
  };
  // Whoever lets go of its core earlier looks idle to schedulers that then move it to a busy one; but a thread that was
  // interrupted for long isn't waited for at the price of everybody else. Pauses take from 10 to 140 cycles.
  static constexpr std::chrono::microseconds kSpin{1000};
  static constexpr int kLooksPerTime = 64;  // reading the clock takes as long as some looks

  /// Nobody comes twice before all have come once, so that another thread has come as often, or once more.
  static bool has_come(const std::atomic<unsigned>& other, unsigned times) {
    return static_cast<int>(other.load(std::memory_order_acquire) - times) >= 0;
  }

  void watch(const std::atomic<unsigned>& other, unsigned times) const {
    Clock::time_point first_look;
    for (int looks = 0; !has_come(other, times); ++looks) {
      if (looks == kLooksPerTime && spins_) first_look = Clock::now();
      const bool asks = looks > kLooksPerTime && looks % kLooksPerTime == 0;
      if (!spins_ || (asks && Clock::now() - first_look > kSpin)) {
        while (!has_come(other, times)) std::this_thread::yield();
        return;
      }
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  }

  const int count_;
  const bool spins_;  // not where there are more threads than cores: the others need this one's
  const std::unique_ptr<Arrivals[]> arrivals_;
};

}  // namespace netsurgery
