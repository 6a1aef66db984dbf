// Workers wait for a layer in two stages: first they watch a counter, which takes over in less than a microsecond while
// layer follows layer; then they sleep, so that an idle session costs nothing.
#include "threads/threads.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "base/arithmetic.hpp"
#include "base/error.hpp"

namespace netsurgery {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kWatch{10};  // without letting go of the core
constexpr std::chrono::microseconds kYield{50};  // offering the core to others all the while
constexpr int kLooksPerTime = 32;                // reading the clock takes as long as some looks

inline void relax() {
#if defined(__SSE__)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("isb");  // `yield` takes no time on most cores
#endif
}

/// Looks until `done` or until it has taken longer than workers should keep a core for nothing.
template <class Done>
bool watch(const Done& done) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    for (int i = 0; i < kLooksPerTime; ++i) {
      if (done()) return true;
      relax();
    }
    const Clock::duration taken = Clock::now() - start;
    if (taken > kYield) return false;
    if (taken > kWatch) std::this_thread::yield();
  }
}

/// How often this process has come out of a fork: threads don't.
std::atomic<std::uint64_t> forks{0};

void notice_forks() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  if (registered != 0) throw Error(NS_ERROR_MEMORY, "no memory for starting threads");
#endif
}

/// On which core each thread runs.
///
/// Some schedulers pack threads that let go of their cores now and then, as ours do while they wait, onto one core and
/// leave others idle. So a worker keeps off the cores of the threads before it; and once it has met the caller on its
/// own core, the caller keeps off the workers' cores too, while it runs.
class Places {
 public:
  /// More than one thread only if each can have a core of its own.
  explicit Places(int threads) : cores_(static_cast<std::size_t>(threads)) {
    for (auto& core : cores_) core.store(kNowhere, std::memory_order_relaxed);
  }

#if defined(__linux__)
  /// While it lives, the calling thread keeps off the workers' cores if that was found to be needed.
  class Caller {
   public:
    explicit Caller(Places& places) {
      if (places.cores_.size() == 1) return;
      if (places.packed_.load(std::memory_order_relaxed) && sched_getaffinity(0, sizeof before_, &before_) == 0)
        moved_ = places.leave(before_, 1, places.cores_.size());
      places.note(0);
    }
    ~Caller() {
      if (moved_) sched_setaffinity(0, sizeof before_, &before_);
    }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

   private:
    cpu_set_t before_;
    bool moved_ = false;
  };

  /// Called by a worker before it works.
  void keep_apart(int thread) {
    const auto place = static_cast<std::size_t>(thread);
    if (cores_.size() == 1) return;
    const bool first_time = core(place) == kNowhere;
    note(place);
    bool taken = false;
    for (std::size_t other = 0; other < place; ++other) taken = taken || core(other) == core(place);
    if (taken && !first_time) packed_.store(true, std::memory_order_relaxed);
    if ((taken || first_time) && leave(allowed_, 0, place)) note(place);
  }

 private:
  static constexpr int kNowhere = -1;

  static cpu_set_t allowed() {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_ZERO(&cores);  // more cores than fit: they stay free
    return cores;
  }
  int core(std::size_t thread) const { return cores_[thread].load(std::memory_order_relaxed); }
  void note(std::size_t thread) { cores_[thread].store(sched_getcpu(), std::memory_order_relaxed); }

  /// The calling thread may run on these cores without those of some threads; false if that leaves none.
  bool leave(cpu_set_t cores, std::size_t first, std::size_t last) {
    for (std::size_t other = first; other < last; ++other)
      if (const int one = core(other); one >= 0 && one < CPU_SETSIZE) CPU_CLR(one, &cores);
    return CPU_COUNT(&cores) > 0 && sched_setaffinity(0, sizeof cores, &cores) == 0;
  }

  const cpu_set_t allowed_ = allowed();
  std::atomic<bool> packed_{false};
#else
  struct Caller {
    explicit Caller(Places&) {}
  };
  void keep_apart(int) {}

 private:
  static constexpr int kNowhere = -1;
#endif
  std::vector<std::atomic<int>> cores_;
};

/// The workers of one process, and what they wait for.
///
/// Whoever changes a counter looks for sleepers afterwards, and whoever sleeps says so before it looks at the counter
/// for the last time, all in one order (seq_cst): one of the two sees the other.
class Team {
 public:
  Team(int count, bool watches) : count_(count), watches_(watches), places_(watches ? count : 1) {
    workers_.reserve(static_cast<std::size_t>(count - 1));
    try {
      for (int thread = 1; thread < count; ++thread) workers_.emplace_back([this, thread] { serve(thread); });
    } catch (const std::exception& failure) {
      const std::size_t started = workers_.size();
      dismiss();
      throw Error(NS_ERROR_MEMORY, "this process could start " + std::to_string(started + 1) + " of " +
                                       std::to_string(count) + " threads (" + failure.what() +
                                       "): ask for fewer threads, or raise its limits (ulimit -u, -v)");
    }
  }
  ~Team() { dismiss(); }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  void run(void (*work)(void*, int), void* context) {
    const Places::Caller caller(places_);
    work_ = work;
    context_ = context;
    pending_.store(count_ - 1, std::memory_order_relaxed);
    rounds_.fetch_add(1);
    if (sleepers_.load() > 0) wake(round_began_);
    work(context, 0);
    const auto done = [this] { return pending_.load() == 0; };
    if (done() || (watches_ && watch(done))) return;
    std::unique_lock<std::mutex> lock(mutex_);
    caller_sleeps_.exchange(true);  // no mere store: under an emulator of ARM (QEMU) the load in done() overtakes it
    round_ended_.wait(lock, done);
    caller_sleeps_.store(false);
  }

 private:
  void serve(int thread) {
    const DefaultArithmetic arithmetic;
    for (std::uint32_t seen = 0;; ++seen) {
      const auto called = [&] { return rounds_.load() != seen; };
      if (!(watches_ && watch(called))) {
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_.fetch_add(1);
        round_began_.wait(lock, called);
        sleepers_.fetch_sub(1);
      }
      if (dismissed_) return;
      places_.keep_apart(thread);
      work_(context_, thread);
      if (pending_.fetch_sub(1) == 1 && caller_sleeps_.load()) wake(round_ended_);
    }
  }

  void wake(std::condition_variable& whom) {
    // Taking the mutex waits for a sleeper between its last look and its sleep.
    {
      const std::lock_guard<std::mutex> lock(mutex_);
    }
    whom.notify_all();
  }

  void dismiss() {
    dismissed_ = true;
    rounds_.fetch_add(1);
    wake(round_began_);
    for (std::thread& worker : workers_) worker.join();
  }

  const int count_;
  const bool watches_;
  Places places_;
  // Written by the caller before a round begins, read by the workers within it.
  void (*work_)(void*, int) = nullptr;
  void* context_ = nullptr;
  bool dismissed_ = false;
  std::mutex mutex_;
  std::condition_variable round_began_, round_ended_;
  // Apart, so that those who watch the one aren't disturbed by those who count the other down.
  alignas(64) std::atomic<std::uint32_t> rounds_{0};
  alignas(64) std::atomic<int> pending_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::vector<std::thread> workers_;
};

}  // namespace

/// The team of this process: a child that a fork made gets one of its own.
struct Threads::ForkSafeTeam {
  ForkSafeTeam(int threads) : count(threads), watches(threads > 1 && threads <= usable_cores()) { start(); }
  ~ForkSafeTeam() {
    if (came_out_of_fork()) abandon();
  }

  void start() {
    notice_forks();
    born = forks.load(std::memory_order_relaxed);
    if (count > 1) team = std::make_unique<Team>(count, watches);
  }
  bool came_out_of_fork() const { return born != forks.load(std::memory_order_relaxed); }
  /// The team stayed with the parent process, and may have held its mutex: what is left of it can't even be destroyed.
  void abandon() { static_cast<void>(team.release()); }

  const int count;
  const bool watches;  // with more threads than cores, watching would keep others from working
  std::uint64_t born = 0;
  std::unique_ptr<Team> team;
};

Threads::Threads(int count) : team_(std::make_unique<ForkSafeTeam>(count)) {}
Threads::~Threads() = default;

int Threads::count() const { return team_->count; }

void Threads::run(void (*work)(void* context, int thread), void* context) {
  ForkSafeTeam& own = *team_;
  if (own.count == 1) {
    work(context, 0);
    return;
  }
  if (own.came_out_of_fork()) {
    own.abandon();
    own.start();
  }
  own.team->run(work, context);
}

}  // namespace netsurgery
