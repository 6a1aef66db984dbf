// Kernels for training alone, one table for each instruction set: what netsurgery.methods has done in C++.
//
// kernels_<set>.cpp compile kernel_expansion.hpp with different flags, as isa/ does with the engine's own kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "file/format.hpp"
#include "isa/instructions.hpp"

namespace netsurgery {

constexpr int kMostPlanes = static_cast<int>(format::kMostPlanes);  // of a filter: a code is a byte

/// One more plane of a filter: the signs of what the planes before it leave over, sign(0) = +1. While planes are being
/// found, bit j of a code is 1 where plane j is -1.
struct NextPlane {
  const float* weights;  // unaligned
  std::uint8_t* codes;   // of the planes before it; gets bit `planes`. Before the first plane it holds anything
  std::ptrdiff_t entries;
  const float* scales;  // [planes]
  int planes;           // before it, 0 .. kMostPlanes - 1
};

struct PlaneSums {
  double norm;                          // of what the planes before it leave over: the sum of magnitudes
  std::int64_t differing[kMostPlanes];  // entries in which the plane differs from each one before it
};

/// The sum of a filter's planes times their scales. Turns codes around: bit j is 1 where plane j is +1 afterwards.
struct PlaneTotal {
  std::uint8_t* codes;
  const float* scales;  // [planes]
  int planes;           // 1 .. kMostPlanes
  std::ptrdiff_t entries;
  float* total;  // unaligned
};

/// A filter whose weights have been the sum of its planes: what differs from that was written since, and is adopted.
struct Written {
  const float* weights;  // unaligned
  float* latent;         // [entries]; gets the weights that differ
  const std::uint8_t* codes;
  const float* scales;  // [planes]
  int planes;           // 1 .. kMostPlanes
  std::ptrdiff_t entries;
};

struct TrainingKernels {
  void (*next_plane)(const NextPlane&, PlaneSums&);
  void (*plane_total)(const PlaneTotal&);
  /// The same for codes that are turned around already, which stay.
  void (*plane_sum)(const PlaneTotal&);
  /// True if any weight differs, as NaN does from everything.
  bool (*adopt)(const Written&);
};

const TrainingKernels& training_kernels_for(Instructions instructions);

}  // namespace netsurgery
