// Where the values of a plan lie: largest first, each at the lowest place that is free while it is needed.
#include <algorithm>
#include <limits>

#include "lanes/layout.hpp"
#include "plan/plan.hpp"

namespace netsurgery {

void place_buffers(Plan& plan) {
  struct Life {
    int first = std::numeric_limits<int>::max(), last = -1;
  };
  std::vector<Life> lives(plan.buffers.size());  // of buffers that are no other name of another one
  const auto owner = [&plan](std::size_t index) {
    while (plan.buffers[index].same_as >= 0) index = static_cast<std::size_t>(plan.buffers[index].same_as);
    return index;
  };
  for (std::size_t step = 0; step < plan.infos.size(); ++step)
    for (const auto* used : {&plan.infos[step].reads, &plan.infos[step].writes})
      for (const int buffer : *used) {
        Life& life = lives[owner(static_cast<std::size_t>(buffer))];
        life.first = std::min(life.first, static_cast<int>(step));
        life.last = std::max(life.last, static_cast<int>(step));
      }
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < plan.buffers.size(); ++i)
    if (plan.buffers[i].home == Buffer::Home::kArena && lives[i].last >= 0) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return plan.buffers[a].floats() > plan.buffers[b].floats(); });
  constexpr Size kUnit = 64;  // floats: whole cache lines, so that no two threads write one
  std::vector<std::size_t> placed;
  for (const std::size_t index : order) {
    Buffer& buffer = plan.buffers[index];
    const Size floats = (buffer.floats() + kUnit - 1) / kUnit * kUnit;
    std::vector<std::pair<Size, Size>> taken;
    for (const std::size_t other : placed)
      if (lives[other].first <= lives[index].last && lives[index].first <= lives[other].last)
        taken.push_back({plan.buffers[other].offset,
                         plan.buffers[other].offset + (plan.buffers[other].floats() + kUnit - 1) / kUnit * kUnit});
    std::sort(taken.begin(), taken.end());
    Size at = 0;
    for (const auto& [begin, end] : taken) {
      if (at + floats <= begin) break;
      at = std::max(at, end);
    }
    buffer.offset = at;
    plan.arena_floats = std::max(plan.arena_floats, at + floats);
    placed.push_back(index);
  }
  for (std::size_t i = 0; i < plan.buffers.size(); ++i) plan.buffers[i].offset = plan.buffers[owner(i)].offset;
}

}  // namespace netsurgery
