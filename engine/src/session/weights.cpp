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

Weights::Weights(Graph& graph, Read read, Size least) : graph_(graph), read_(std::move(read)), least_(least) {
  for (const auto& one : graph_.constants) kept_ += one->kept;
}

void Weights::need() {
  if (!away_) return;
  graph_.constants = read_();
  away_ = false;
  stay_ = all_away_;  // a plan that wasn't made to the end, for want of memory, is no second one
}

bool Weights::may_go() const { return read_ && !stay_ && kept_ >= least_; }

void Weights::let_go(std::size_t constant) {
  if (!may_go()) return;
  graph_.constants[constant] = std::make_shared<Constant>(graph_.constants[constant]->outline());
  away_ = true;
}

void Weights::let_go() {
  if (!may_go() || all_away_) return;
  std::vector<std::shared_ptr<Constant>> outlines;  // all of them before any weight goes: there may be no memory
  for (const auto& one : graph_.constants) outlines.push_back(std::make_shared<Constant>(one->outline()));
  graph_.constants = std::move(outlines);
  away_ = all_away_ = true;
  give_back_memory();
}

}  // namespace netsurgery
