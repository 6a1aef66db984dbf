#include "session/weights.hpp"

#include <utility>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace netsurgery {
namespace {

/// Back to the system what was needed to read the file and to make a plan.
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
  for (auto& one : graph_.constants) one = std::make_shared<Constant>(one->outline());
  away_ = true;
  give_back_memory();
}

}  // namespace netsurgery
