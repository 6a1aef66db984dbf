// What one machine can do at most: multiply-adds in float32, their operand from a register, from each cache, from
// memory. c++ -O3 -march=native -std=c++17 -pthread peak.cpp -o peak && ./peak THREADS
//
// Prints GFLOP/s (two for a multiply-add) of all threads together, one line for each place of the operand.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kBytes = 64, kSums = 24;  // 24 of 32 registers: enough that no sum waits for itself
#elif defined(__AVX__)
constexpr int kBytes = 32, kSums = 12;
#else
constexpr int kBytes = 16, kSums = 12;
#endif
typedef float Vector __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / 4;
constexpr double kSeconds = 0.1;
constexpr int kTries = 5;

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static Vector filled(float value) {
  Vector vector;
  for (int lane = 0; lane < kLanes; ++lane) vector[lane] = value;
  return vector;
}

// Keeps the compiler from leaving out what computed the sums.
static volatile float sink;
template <int count>
static void use(const Vector (&sums)[count]) {
  Vector total = sums[0];
  for (int i = 1; i < count; ++i) total += sums[i];
  sink = total[0];
}

// Each function returns GFLOP/s of one thread.
static double from_registers() {
  Vector sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = filled(1.0f + 0.01f * static_cast<float>(i));
  const Vector factor = filled(0.999f), term = filled(0.001f);
  const double start = now();
  double count = 0, seconds = 0;
  do {
    for (int repeat = 0; repeat < 20000; ++repeat) {
#pragma GCC unroll 24
      for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * factor + term;
    }
    count += 20000.0 * kSums;
    seconds = now() - start;
  } while (seconds < kSeconds);
  use(sums);
  return count * 2 * kLanes / seconds / 1e9;
}

static double from_memory(const Vector* operand, std::size_t vectors) {
  constexpr int kStreams = 8;
  Vector sums[kStreams];
  for (int i = 0; i < kStreams; ++i) sums[i] = filled(0.0f);
  const double start = now();
  double count = 0, seconds = 0;
  do {
    const std::size_t repeats = std::max<std::size_t>(1, (std::size_t{1} << 20) / vectors);
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
      const Vector factor = filled(1.0f + static_cast<float>(repeat) * 1e-6f);
      for (std::size_t at = 0; at + kStreams <= vectors; at += kStreams) {
#pragma GCC unroll 8
        for (int i = 0; i < kStreams; ++i) sums[i] = operand[at + static_cast<std::size_t>(i)] * factor + sums[i];
      }
    }
    count += static_cast<double>(repeats) * static_cast<double>(vectors);
    seconds = now() - start;
  } while (seconds < kSeconds);
  use(sums);
  return count * 2 * kLanes / seconds / 1e9;
}

// The sum over threads that run at the same time, the best of a few tries. bytes: of each thread's operands; 0: none.
static double best(int threads, std::size_t bytes) {
  std::vector<Vector*> operands;
  for (int i = 0; i < threads && bytes; ++i) {
    operands.push_back(static_cast<Vector*>(std::aligned_alloc(4096, bytes)));
    if (!operands.back()) std::exit(2);
    std::fill_n(reinterpret_cast<float*>(operands.back()), bytes / 4, 1e-6f);
  }
  double most = 0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    std::vector<double> rates(static_cast<std::size_t>(threads));
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        const std::size_t at = static_cast<std::size_t>(i);
        rates[at] = bytes ? from_memory(operands[at], bytes / kBytes) : from_registers();
      });
    }
    double total = 0;
    for (int i = 0; i < threads; ++i) {
      running[static_cast<std::size_t>(i)].join();
      total += rates[static_cast<std::size_t>(i)];
    }
    most = std::max(most, total);
  }
  for (Vector* operand : operands) std::free(operand);
  return most;
}

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::max(1, std::atoi(arguments[1])) : 1;
  std::printf("registers %.1f\n", best(threads, 0));
  std::printf("l1 %.1f\n", best(threads, std::size_t{16} << 10));
  std::printf("l2 %.1f\n", best(threads, std::size_t{192} << 10));
  std::printf("l3 %.1f\n", best(threads, std::size_t{4} << 20));
  std::printf("memory %.1f\n", best(threads, std::size_t{256} << 20));
  return 0;
}
