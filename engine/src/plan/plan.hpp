// A graph at one choice of sizes, ready to run: steps in order, and one block of memory that their values share.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "graph/graph.hpp"
#include "graph/step.hpp"
#include "isa/kernels.hpp"

namespace netsurgery {

/// Memory that steps read and write: the caller's, a constant's, or a part of the arena while it is needed.
struct Buffer {
  enum class Home : std::uint8_t { kArena, kInput, kOutput, kConstant };
  Home home = Home::kArena;
  Size entries = 0;
  std::size_t entry_bytes = sizeof(float);
  int number = 0;               // of the input, output or constant
  Size offset = 0;              // in the arena, in floats
  int same_as = -1;             // the buffer whose memory this one is another name of, or -1
  std::vector<float> constant;  // entries of a constant

  Size bytes() const { return entries * static_cast<Size>(entry_bytes); }
  /// So many hold all its entries.
  Size floats() const { return (bytes() + static_cast<Size>(sizeof(float)) - 1) / static_cast<Size>(sizeof(float)); }
};

struct Plan {
  std::vector<StepInfo> infos;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<std::size_t> watched;  // places of steps that may fail
  std::vector<Buffer> buffers;
  Size arena_floats = 0, scratch_floats = 0;
  double cycles = 0;  // of one core, roughly
};

struct PlanOptions {
  Size images = 1;  // that share a vector: 1, 2, 4, 8 or 16, of whole numbers 32
  int threads = 1;
  bool plain_only = false;
  bool whole_numbers = true;   // values on grids may lie in vectors of those
  bool estimate_only = false;  // no steps, no memory: cycles alone
  /// Told the number of a layer's weight once the steps are made that pack it; from then on the graph needn't have it.
  std::function<void(std::size_t)> packed;
};

Plan make_plan(const Graph& graph, const Kernels& kernels, const Sizes& sizes, const PlanOptions& options);

/// Gives each buffer of the arena its place: those whose times overlap don't overlap in memory.
void place_buffers(Plan& plan);

constexpr std::size_t kNoAxis = kMostOpenAxes;

/// The open axis along whose entries (the images of a batch) every value is worked on apart, so that a run may be done
/// in parts; kNoAxis if there is none.
std::size_t separable_axis(const Graph& graph);

}  // namespace netsurgery
