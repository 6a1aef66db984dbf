// session_test FOLDER: every network of a folder of .nsm files, at several batch sizes, with every instruction set of
// this machine and several numbers of threads, against the plain path with portable instructions.
//
// What is right is for the Python tests to say, which have the reference; here, sanitizers look on.
#include "session/session.hpp"

#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <new>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "check.hpp"
#include "file/reader.hpp"
#include "graph/shapes.hpp"
#include "isa/instructions.hpp"

namespace {

std::atomic<long> allocations{0};
std::atomic<long> spared{-1};  // allocations until one fails; negative: none does

void* allocate(std::size_t size, std::size_t alignment) {
  ++allocations;
  if (spared >= 0 && spared-- == 0) throw std::bad_alloc();
  void* memory = nullptr;
  if (posix_memalign(&memory, std::max(alignment, sizeof(void*)), std::max<std::size_t>(size, 1)) != 0)
    throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return malloc(size);
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { free(memory); }
void operator delete(void* memory, std::size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { free(memory); }

using namespace netsurgery;

namespace {

constexpr Size kBatches[] = {1, 2, 5, 16, 33};
constexpr int kThreads[] = {1, 2, 3};

// Sums of at most some thousand terms, in another order, of values around 1, and what follows from that.
constexpr float kTolerance = 2e-4f;

struct Network {
  std::string name;
  std::vector<std::uint8_t> bytes;
  Graph graph() const { return read_graph(bytes.data(), bytes.size()); }
};

std::vector<Network> networks_in(const char* folder) {
  std::vector<Network> networks;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".nsm") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    networks.push_back({entry.path().filename().string(), {bytes.begin(), bytes.end()}});
  }
  std::sort(networks.begin(), networks.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  CHECK(!networks.empty());
  return networks;
}

/// Of the first open axis; the others, if any, are one longer each than they have to be.
Sizes sizes_for(const Graph& graph, Size batch) {
  Sizes sizes = graph.least();
  for (std::size_t axis = 0; axis < graph.axes.size(); ++axis) sizes[axis] = axis == 0 ? batch : sizes[axis] + 1;
  return sizes;
}

constexpr Size kFewestRows = 2;  // of any table, and of any axis along which entries are picked, in the networks

using Arrays = std::vector<std::vector<unsigned char>>;

template <class Number>
void fill(std::vector<unsigned char>& bytes, const std::function<Number()>& next) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Number)) {
    const Number number = next();
    std::memcpy(bytes.data() + at, &number, sizeof(Number));
  }
}

/// Numbers between -1 and 1, rows of a table, or bools, the same ones each time.
Arrays inputs_of(const Graph& graph, const Sizes& sizes) {
  Arrays arrays;
  std::uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  const auto row = [&] { return static_cast<std::int32_t>(next() % kFewestRows); };
  for (const Input& input : graph.inputs) {
    const auto count = static_cast<std::size_t>(entries_of(shape_at(input.shape, sizes)));
    arrays.emplace_back(count * entry_of(input.type).bytes);
    if (input.type == ValueType::kInt32)
      fill<std::int32_t>(arrays.back(), row);
    else if (input.type == ValueType::kInt64)
      fill<std::int64_t>(arrays.back(), row);
    else if (input.type == ValueType::kBool)
      fill<std::uint8_t>(arrays.back(), [&] { return static_cast<std::uint8_t>(next() % 2); });
    else
      fill<float>(arrays.back(), [&] { return static_cast<float>(next()) / static_cast<float>(1 << 23) - 1.0f; });
  }
  return arrays;
}

/// A session that lets go of its weights, and arrays of exactly the right size: whatever is read beyond them, or of
/// weights that are gone, is found out.
class Run {
 public:
  Run(const Network& network, int threads, bool plain_only)
      : session_(network.graph(), SessionOptions{threads, plain_only, 0}, [this, &network] {
          ++reads_;
          return read_constants(network.bytes.data(), network.bytes.size(), {});
        }) {}

  /// False if the network can't run with a first axis of this size.
  bool prepare(Size batch) {
    sizes_ = sizes_for(session_.graph(), batch);
    try {
      outputs_.clear();
      const std::vector<Shape>& shapes = session_.output_shapes(sizes_);
      for (std::size_t i = 0; i < shapes.size(); ++i)
        outputs_.emplace_back(static_cast<std::size_t>(entries_of(shapes[i])) * entry_of(type(i)).bytes, 0xC2);
      session_.prepare(sizes_);
    } catch (const Error& error) {
      CHECK(error.status() == NS_ERROR_INPUT);
      return false;
    }
    inputs_ = inputs_of(session_.graph(), sizes_);
    from_.clear(), to_.clear();
    for (const auto& input : inputs_) from_.push_back(input.data());
    for (auto& output : outputs_) to_.push_back(output.data());
    return true;
  }
  /// Of an output.
  ValueType type(std::size_t output) const { return session_.graph().type(session_.graph().outputs[output]); }
  const Arrays& operator()() {
    session_.run(sizes_, from_.data(), to_.data());
    return outputs_;
  }
  /// How often the weights were read after the first time.
  int reads() const { return reads_; }

 private:
  int reads_ = 0;
  Session session_;
  Sizes sizes_{};
  Arrays inputs_, outputs_;
  std::vector<const void*> from_;
  std::vector<void*> to_;
};

bool same_bits(const Arrays& a, const Arrays& b) { return a == b; }

std::vector<float> floats_of(const std::vector<unsigned char>& bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

bool close(const std::vector<float>& a, const std::vector<float>& b) {
  CHECK(a.size() == b.size());
  float largest = 1;
  for (const float value : b)
    if (std::isfinite(value)) largest = std::max(largest, std::fabs(value));
  for (std::size_t j = 0; j < a.size(); ++j) {
    const bool equal = a[j] == b[j] || (std::isnan(a[j]) && std::isnan(b[j]));
    if (!equal && !(std::fabs(a[j] - b[j]) <= kTolerance * largest)) return false;
  }
  return true;
}

/// Outputs of two runs of one network: floats are near each other, all else is the same.
bool close(const Arrays& a, const Arrays& b, const Run& run) {
  CHECK(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool floats = run.type(i) == ValueType::kFloat32;
    if (floats ? !close(floats_of(a[i]), floats_of(b[i])) : a[i] != b[i]) return false;
  }
  return true;
}

void force(Instructions set) { CHECK(setenv("NETSURGERY_ISA", name(set), 1) == 0); }

void every_set_and_number_of_threads_agrees(const Network& network) {
  force(Instructions::kPortable);
  Run plain(network, 1, true);
  for (const Instructions set : available_instructions()) {
    force(set);
    Run alone(network, 1, false);
    for (const int threads : kThreads) {
      Run together(network, threads, false);
      for (const Size batch : kBatches) {
        const bool runs = plain.prepare(batch);
        CHECK(alone.prepare(batch) == runs);
        CHECK(together.prepare(batch) == runs);
        if (!runs) continue;
        const Arrays& outputs = together();
        if (!close(outputs, plain(), plain)) {
          std::fprintf(stderr, "%s, %s, %d threads, batch %d: differs from the plain path\n", network.name.c_str(),
                       name(set), threads, static_cast<int>(batch));
          std::exit(1);
        }
        CHECK(same_bits(outputs, alone()));
        CHECK(same_bits(together(), alone()));  // and a second run is like the first
      }
    }
  }
}

void a_prepared_run_allocates_nothing(const Network& network) {
  for (const Instructions set : available_instructions()) {
    force(set);
    for (const int threads : {1, 3}) {
      Run run(network, threads, false);
      if (!run.prepare(5)) continue;
      const long before = allocations;
      run();
      if (allocations != before) std::fprintf(stderr, "%s, %s: a run allocates\n", network.name.c_str(), name(set));
      CHECK(allocations == before);
    }
  }
}

/// More batch sizes than a session keeps plans for, and the first ones again.
void plans_that_were_dropped_are_made_again(const Network& network) {
  force(available_instructions().front());
  Run many(network, 2, false);
  for (Size step = 0; step < 24; ++step) {
    const Size batch = 1 + step % 20;
    Run alone(network, 2, false);
    const bool runs = alone.prepare(batch);
    CHECK(many.prepare(batch) == runs);
    if (runs) CHECK(same_bits(many(), alone()));
  }
}

void weights_are_read_once_more_if_other_sizes_come(const Network& network) {
  force(available_instructions().front());
  Run run(network, 2, false);
  const Graph graph = network.graph();
  if (graph.constants.empty() || graph.axes.empty() || !run.prepare(1)) return;
  CHECK(run.prepare(1) && run.reads() == 0);
  if (!run.prepare(5)) return;
  CHECK(run.reads() == 1);
  if (run.prepare(16)) CHECK(run.reads() == 1);
}

/// The next plan is as if nothing had happened: it has the same bits, and lets go of the weights. Few places of each
/// network, other ones of the next.
void memory_that_runs_out_while_planning_spoils_nothing(const Network& network, long number) {
  constexpr long kPlaces = 5;
  force(available_instructions().front());
  Run expected(network, 2, false);
  const long begun = allocations;
  if (!expected.prepare(1)) return;
  const long needed = allocations - begun;
  const Graph graph = network.graph();
  const long apart = 1 + needed / kPlaces;
  for (long enough = number * 7 % apart; enough < needed; enough += apart) {
    Run run(network, 2, false);
    spared = enough;
    try {
      run.prepare(1);
    } catch (const std::bad_alloc&) {
    }
    spared = -1;
    CHECK(run.prepare(1));
    CHECK(same_bits(run(), expected()));
    const int reads = run.reads();
    if (graph.constants.empty() || graph.axes.empty() || !run.prepare(5)) continue;
    CHECK(run.reads() == reads + 1);
  }
}

void sessions_in_several_threads_do_not_disturb_each_other(const Network& network) {
  force(available_instructions().front());
  Run expected(network, 1, false);
  if (!expected.prepare(16)) return;
  const Arrays& outputs = expected();
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller)
    callers.emplace_back([&] {
      Run run(network, 2, false);
      CHECK(run.prepare(16));
      for (int i = 0; i < 20; ++i) CHECK(same_bits(run(), outputs));
    });
  for (std::thread& caller : callers) caller.join();
}

}  // namespace

int main(int count, char** arguments) {
  CHECK(count == 2);
  long number = 0;
  for (const Network& network : networks_in(arguments[1])) {
    every_set_and_number_of_threads_agrees(network);
    a_prepared_run_allocates_nothing(network);
    plans_that_were_dropped_are_made_again(network);
    weights_are_read_once_more_if_other_sizes_come(network);
    memory_that_runs_out_while_planning_spoils_nothing(network, number++);
    sessions_in_several_threads_do_not_disturb_each_other(network);
  }
}
