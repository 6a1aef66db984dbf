#include "session/weights.hpp"

#include <utility>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace netsurgery {
namespace {

/// Back to the system what was needed to read the file and to make a plan: a library that keeps a heap, as glibc's
/// does, would keep that, too. Once for each session with large weights.
void give_back_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace

void Weights::need() {
  if (!away_) return;
  graph_.constants = read_();
  away_ = false;
  stay_ = true;
}

void Weights::let_go() {
  if (!read_ || away_ || stay_) return;
  Size kept = 0;
  for (const auto& one : graph_.constants) kept += one->kept;
  if (kept < least_) return;
  std::vector<std::shared_ptr<Constant>> outlines;  // all of them before any weight goes: there may be no memory
  for (const auto& one : graph_.constants) outlines.push_back(std::make_shared<Constant>(one->outline()));
  graph_.constants = std::move(outlines);
  away_ = true;
  give_back_memory();
}

}  // namespace netsurgery
