// How work is cut for threads: nothing is lost, nobody is left without, and nobody has much more than the others.
#include "lanes/pieces.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "check.hpp"
#include "session/runner.hpp"

using namespace netsurgery;

namespace {

constexpr Size kWholes[] = {1, 2, 3, 4, 5, 7, 8, 10, 13, 16, 20, 36, 63, 64};
constexpr int kThreads[] = {1, 2, 3, 4, 7, 16};

bool covers(const std::vector<Range>& parts, Size whole) {
  Size next = 0;
  for (const Range& part : parts) {
    if (part.begin != next || part.count() < 1) return false;
    next = part.end;
  }
  return next == whole;
}

void parts_cover_the_whole() {
  for (const Size whole : kWholes)
    for (const Size most : {1, 2, 4, 6})
      for (const Size times : {1, 2, 5})
        for (const int threads : kThreads) {
          const std::vector<Range> shared = shared_parts(whole, most, times, threads);
          CHECK(covers(shared, whole));
          for (const Range& part : shared) CHECK(part.count() <= most);
          CHECK(covers(parts(whole, most), whole));
        }
}

void every_thread_finds_a_part_where_there_are_enough() {
  for (const Size whole : kWholes)
    for (const Size times : {1, 2, 5})
      for (const int threads : kThreads) {
        const Size parts = times * static_cast<Size>(shared_parts(whole, 4, times, threads).size());
        CHECK(parts >= std::min<Size>(threads, times * whole));
      }
}

/// Ten vectors, four at a time: three parts for one thread, four for two, five vectors each.
void parts_are_as_many_for_each_thread() {
  CHECK(shared_parts(10, 4, 1, 1).size() == 3);
  CHECK(shared_parts(10, 4, 1, 2).size() == 4);
  CHECK(shared_parts(20, 4, 1, 2).size() == 6);
  CHECK(shared_parts(4, 4, 1, 2).size() == 2);
  CHECK(shared_parts(4, 4, 2, 2).size() == 1);  // of each of two
}

void unevenness_is_what_the_slowest_takes() {
  CHECK(unevenness(equal_parts(8, 4), 1, 1) == 1);
  CHECK(unevenness(equal_parts(8, 4), 1, 2) == 1);
  CHECK(unevenness(equal_parts(7, 4), 1, 2) == 8.0 / 7);  // 1 + 2, 2 + 2
  CHECK(unevenness(equal_parts(7, 7), 2, 2) == 1);
  CHECK(unevenness(equal_parts(1, 1), 1, 4) == 4);
  for (const Size whole : kWholes)
    for (const int threads : kThreads) {
      const double longer = unevenness(equal_parts(whole, whole), 3, threads);
      CHECK(longer >= 1 && longer <= threads);
    }
}

void outputs_are_cut_until_it_is_fair() {
  CHECK(output_parts(4, 8, 2) == 1);
  CHECK(output_parts(1, 8, 2) == 2);
  CHECK(output_parts(3, 8, 2) == 2);
  CHECK(output_parts(1, 16, 2, 3) == 4);  // at least three, and as many for both
  CHECK(output_parts(1, 2, 16, 3) == 2);  // there are no more
}

/// So many pieces, of which some read the same.
class Pieces final : public Step {
 public:
  Pieces(Size count, Size readers) : count_(count), readers_(readers) {}
  Size pieces() const override { return count_; }
  Size readers() const override { return readers_; }
  void run(Buffers, Size, Size, float*) const override {}

 private:
  Size count_, readers_;
};

/// Steps one after another, on values of so many floats: of so many cycles and pieces each.
struct Chained {
  double cycles;
  Size pieces, readers;
};
Plan chain(const std::vector<Chained>& steps, Size floats) {
  Plan plan;
  for (std::size_t i = 0; i <= steps.size(); ++i) {
    Buffer buffer;
    buffer.entries = floats;
    plan.buffers.push_back(buffer);
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    plan.steps.push_back(std::make_unique<Pieces>(steps[i].pieces, steps[i].readers));
    StepInfo info;
    info.reads = {static_cast<int>(i)};
    info.writes = {static_cast<int>(i) + 1};
    info.cycles = steps[i].cycles;
    plan.infos.push_back(info);
    plan.cycles += info.cycles;
  }
  return plan;
}

/// Cycles of two threads beside those of one.
double beside_one(const std::vector<Chained>& steps, Size floats) {
  const Plan plan = chain(steps, floats);
  return shared_cycles(plan, 2) / plan.cycles;
}

void threads_gain_where_they_have_rows_of_their_own_and_lose_where_they_need_each_others() {
  constexpr Size kFew = 1024, kMany = 131072;
  const Chained rows{400000, 14, 1}, outputs{400000, 2, 2}, small{20000, 2, 2}, alone{400000, 1, 1};
  CHECK(beside_one({rows, rows, rows}, kFew) < 0.52);
  CHECK(beside_one({rows, rows, rows}, kMany) < 0.6);
  CHECK(beside_one({outputs, outputs, outputs}, kFew) < 0.52);
  CHECK(beside_one({outputs, outputs, outputs}, kMany) > beside_one({rows, rows, rows}, kMany));
  CHECK(beside_one({small, small, small}, kMany) > 1);
  CHECK(beside_one({alone, alone}, kMany) == 1);
  CHECK(beside_one({small, alone, small, alone}, kMany) > 1);  // what two have made, one reads
  CHECK(beside_one({rows, alone, rows, alone}, kFew) < 0.8);
}

}  // namespace

int main() {
  parts_cover_the_whole();
  every_thread_finds_a_part_where_there_are_enough();
  parts_are_as_many_for_each_thread();
  unevenness_is_what_the_slowest_takes();
  outputs_are_cut_until_it_is_fair();
  threads_gain_where_they_have_rows_of_their_own_and_lose_where_they_need_each_others();
  return 0;
}
