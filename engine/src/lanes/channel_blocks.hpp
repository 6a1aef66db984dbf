// A layer and a depthwise one that reads it, some channels at a time: what lies between stays in a near cache.
#pragma once

#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "lanes/layout.hpp"
#include "lanes/ranges.hpp"

namespace netsurgery {

/// The two layers of some channels, which know three buffers: what the first reads, what lies between, and what the
/// second one writes.
struct ChannelBlock {
  static constexpr int kInput = 0, kBetween = 1, kOutput = 2;
  std::unique_ptr<Step> first, second;
};

/// True if what lies between is so large that blocks of channels pay.
bool pays_in_blocks(const Layout& between);

/// Which channels come together. It doesn't depend on the number of threads: nor do results.
std::vector<Range> channel_blocks(const Layout& between);

/// Some channels of a layout by themselves, and where they lie among the others.
Layout channels_alone(const Layout& layout, const Range& channels);
Layout channels_among(const Layout& layout, const Range& channels);

/// Pieces: blocks. between: its layout for the channels of a block.
std::unique_ptr<Step> make_channel_blocks(std::vector<ChannelBlock> blocks, int input, const Layout& between,
                                          int output);

}  // namespace netsurgery
