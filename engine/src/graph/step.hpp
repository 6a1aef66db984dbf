// One piece of a plan that runs: what it reads, what it writes, and how it can be shared by threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace netsurgery {

/// The memory of each buffer of a plan while it runs, by number.
using Buffers = float* const*;

class Step {
 public:
  Step() = default;
  virtual ~Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  /// Pieces don't depend on each other, so that any thread may run any of them; the result is the same.
  virtual Size pieces() const = 0;
  /// Of a step that goes on from what it has done before: so many pieces at a time, the next ones when all of these are
  /// done. Divides pieces().
  virtual Size pieces_at_once() const { return pieces(); }
  /// Pieces that read the same of the input, as parts of the outputs do: what one thread has made is read by others.
  virtual Size readers() const { return 1; }
  /// Floats of scratch memory, aligned, for each thread.
  virtual Size scratch() const { return 0; }
  /// As of plain kernels: can a run meet what it can't compute, and what was that?
  virtual bool may_fail() const { return false; }
  virtual std::string fault() const { return ""; }
  /// Pieces begin .. end - 1. Allocates nothing, throws nothing.
  virtual void run(Buffers buffers, Size begin, Size end, float* scratch) const = 0;
};

/// What is known of a step before it is made.
struct StepInfo {
  int node = -1;                   // of the graph, that it works for; -1: none
  const char* kind = "";           // which way it does it
  std::vector<int> reads, writes;  // buffers; one that is changed stands in both
  double cycles = 0;               // an estimate, to choose between ways and to decide whether threads pay
  Size multiply_adds = 0;          // useful ones
};

}  // namespace netsurgery
