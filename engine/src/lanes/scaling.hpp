// Each channel times a number of its own, plus another one, and what follows: batch norms that no convolution in front
// can take, and squeeze-and-excite. A step of its own, or what the next convolution does to its inputs on the way.
#pragma once

#include <optional>

#include "graph/step.hpp"
#include "isa/kernels.hpp"

namespace netsurgery {

/// One number of each channel, `channel` floats apart, and those of the next group of images `group` floats farther.
struct ChannelNumbers {
  int buffer;
  Size channel, group;
};

struct Scaling {
  std::optional<ChannelNumbers> scale, shift;  // one of them at least
  bool clips = false;
  float low = 0, high = 0;
  std::optional<AppliedFunction> activation;  // or this
};

/// Some channels of a row of tiles, from `first` on: input and output begin with it.
struct ScaledRow {
  Size group, first, channels;
  const float* input;
  float* output;
  Size input_channel, output_channel;  // floats to the next
  Size count;                          // floats of each, whole vectors
};
void scale_row(const Kernels& kernels, const Scaling& scaling, Buffers buffers, const ScaledRow& row);

}  // namespace netsurgery
