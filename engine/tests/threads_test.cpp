// The pool of threads: who works, who waits, what happens when there is no thread to be had.
#include "threads/threads.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/arithmetic.hpp"
#include "base/error.hpp"
#include "check.hpp"

using namespace netsurgery;

namespace {

void each_thread_works_once_in_a_round() {
  for (const int count : {1, 2, 3, 7}) {
    Threads threads(count);
    CHECK(threads.count() == count);
    std::vector<int> worked(static_cast<std::size_t>(count), 0);  // not atomic: run() itself has to order this
    auto work = [&](int thread) { ++worked[static_cast<std::size_t>(thread)]; };
    constexpr int kRounds = 3000;
    for (int round = 1; round <= kRounds; ++round) {
      threads.run(work);
      CHECK(std::all_of(worked.begin(), worked.end(), [&](int times) { return times == round; }));
    }
  }
}

void the_caller_is_thread_0_and_the_others_are_others() {
  Threads threads(3);
  std::vector<std::thread::id> who(3);
  auto work = [&](int thread) { who[static_cast<std::size_t>(thread)] = std::this_thread::get_id(); };
  threads.run(work);
  CHECK(who[0] == std::this_thread::get_id());
  CHECK(who[1] != who[0] && who[2] != who[0] && who[1] != who[2]);
}

void workers_that_went_to_sleep_wake_up() {
  Threads threads(2);
  std::atomic<int> worked{0};
  auto work = [&](int) { ++worked; };
  for (int round = 0; round < 40; ++round) {
    // Around the time at which workers stop watching, where a call could be missed.
    std::this_thread::sleep_for(std::chrono::microseconds(5 * round));
    threads.run(work);
    CHECK(worked == 2 * (round + 1));
  }
}

void a_caller_that_is_done_early_waits_for_slow_workers() {
  Threads threads(2);
  std::atomic<bool> finished{false};
  auto work = [&](int thread) {
    if (thread == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    finished = true;
  };
  for (int round = 0; round < 20; ++round) {
    finished = false;
    threads.run(work);
    CHECK(finished);
  }
}

void idle_workers_take_no_time() {
  Threads threads(2);
  auto work = [](int) {};
  threads.run(work);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const std::clock_t before = std::clock();  // of all threads
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double seconds = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(seconds < 0.05);
}

void pools_are_independent() {
  std::vector<std::thread> callers;
  std::atomic<int> worked{0};
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (int pool = 0; pool < 10; ++pool) {
        Threads threads(1 + pool % 4);
        auto work = [&](int) { ++worked; };
        for (int round = 0; round < 50; ++round) threads.run(work);
      }
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(worked == 3 * 50 * (1 + 2 + 3 + 4 + 1 + 2 + 3 + 4 + 1 + 2));
}

void results_do_not_depend_on_the_callers_arithmetic() {
  Threads threads(2);
  std::fesetround(FE_UPWARD);
  std::vector<double> third(2);
  volatile double one = 1, three = 3;
  auto work = [&](int thread) {
    const DefaultArithmetic arithmetic;
    third[static_cast<std::size_t>(thread)] = one / three;
  };
  threads.run(work);
  const int rounding = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK(rounding == FE_UPWARD);  // the caller's setting was put back
  CHECK(third[0] == 1.0 / 3.0 && third[1] == 1.0 / 3.0);
}

int threads_of_this_process() {
  std::FILE* status = std::fopen("/proc/self/status", "r");
  int count = -1;
  char line[256];
  while (status && std::fgets(line, sizeof line, status))
    if (std::sscanf(line, "Threads: %d", &count) == 1) break;
  if (status) std::fclose(status);
  return count;
}

/// Runs `part` in a child process and says whether it ended with 0.
template <class Part>
bool in_a_child(const Part& part) {
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(part());
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void a_pool_works_on_both_sides_of_a_fork() {
  Threads threads(3);
  std::atomic<int> worked{0};
  auto work = [&](int) { ++worked; };
  threads.run(work);
  CHECK(in_a_child([&] {
    for (int round = 0; round < 10; ++round) threads.run(work);
    return worked == 33 ? 0 : 1;
  }));
  // A child that never runs must still be able to leave.
  CHECK(in_a_child([&] {
    Threads(2).run(work);
    return 0;
  }));
  threads.run(work);
  CHECK(worked == 6);
}

void a_pool_that_a_child_never_used_can_be_destroyed_there() {
  auto threads = std::make_unique<Threads>(3);
  CHECK(in_a_child([&] {
    threads.reset();
    return 0;
  }));
}

void threads_that_cannot_start_are_a_named_error_and_none_stays() {
  CHECK(in_a_child([] {
    const int before = threads_of_this_process();
    // Room for a few stacks only.
    rlimit room{};
    long pages = 0;
    std::FILE* sizes = std::fopen("/proc/self/statm", "r");
    if (!sizes || std::fscanf(sizes, "%ld", &pages) != 1) return 2;
    std::fclose(sizes);
    getrlimit(RLIMIT_AS, &room);
    room.rlim_cur = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (rlim_t{60} << 20);
    if (setrlimit(RLIMIT_AS, &room) != 0) return 3;
    for (int attempt = 0; attempt < 3; ++attempt) {
      try {
        Threads threads(200);
        return 4;
      } catch (const Error& error) {
        if (error.status() != NS_ERROR_MEMORY) return 5;
        if (std::string(error.what()).find("of 200 threads") == std::string::npos) return 6;
      }
    }
    return threads_of_this_process() == before ? 0 : 7;
  }));
}

/// Not a claim but a figure, for whoever changes the pool: `threads_test speed`.
void print_speed() {
  for (int count = 1; count <= std::min(usable_cores(), 16); count *= 2) {
    Threads threads(count);
    auto work = [](int) {};
    std::vector<double> hot, cold;
    const auto timed = [&] {
      const auto start = std::chrono::steady_clock::now();
      threads.run(work);
      return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    };
    for (int i = 0; i < 20000; ++i) hot.push_back(timed());
    for (int i = 0; i < 200; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      cold.push_back(timed());
    }
    std::sort(hot.begin(), hot.end());
    std::sort(cold.begin(), cold.end());
    std::printf("%d threads: %.2f us while watching (99 %%: %.2f), %.2f us after sleep\n", count, hot[hot.size() / 2],
                hot[hot.size() * 99 / 100], cold[cold.size() / 2]);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string wish = count > 1 ? arguments[1] : "";
  if (wish == "speed") {
    print_speed();
    return 0;
  }
  each_thread_works_once_in_a_round();
  the_caller_is_thread_0_and_the_others_are_others();
  workers_that_went_to_sleep_wake_up();
  a_caller_that_is_done_early_waits_for_slow_workers();
  idle_workers_take_no_time();
  pools_are_independent();
  results_do_not_depend_on_the_callers_arithmetic();
  if (wish != "without-fork") {  // sanitizers and emulators bear no new threads after a fork
    a_pool_works_on_both_sides_of_a_fork();
    a_pool_that_a_child_never_used_can_be_destroyed_there();
    threads_that_cannot_start_are_a_named_error_and_none_stays();
  }
}
