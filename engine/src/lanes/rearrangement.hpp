// Pixels of a value in vectors of lanes that take other places: nothing is computed.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// Pixels that a pixel becomes along each axis.
struct Blocks {
  Size z = 1, y = 1, x = 1;

  Size count() const { return z * y * x; }
  /// The tiles whose pixels these become: the lanes stay.
  Tiling of(Tiling tiling) const;
};

/// Channels become pixels, vector by vector: output.tiling is blocks.of(input.tiling). blocks_first: channels are
/// (block, channel) rather than (channel, block).
std::unique_ptr<Step> make_depth_to_space(const Blocks& blocks, bool blocks_first, int input,
                                          const Layout& input_layout, int output, const Layout& output_layout);

double depth_to_space_cycles(const Layout& output);

}  // namespace netsurgery
