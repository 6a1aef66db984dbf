#include "lanes/channel_blocks.hpp"

#include <algorithm>
#include <utility>

namespace netsurgery {
namespace {

constexpr Size kFloatBytes = static_cast<Size>(sizeof(float));
constexpr Size kLeastBytes = 256 * 1024;  // between two layers, or a second cache holds it beside what else they see
constexpr Size kBlockBytes = 128 * 1024;
constexpr Size kFewestBlocks = 4, kFewestChannels = 8;  // of a block, or its layers begin too often

class ChannelBlocks final : public Step {
 public:
  ChannelBlocks(std::vector<ChannelBlock> blocks, int input, Size between_floats, int output)
      : blocks_(std::move(blocks)), input_(input), output_(output), between_floats_(between_floats) {
    for (const ChannelBlock& block : blocks_)
      scratch_ = std::max({scratch_, block.first->scratch(), block.second->scratch()});
  }

  Size pieces() const override { return static_cast<Size>(blocks_.size()); }
  Size scratch() const override { return between_floats_ + scratch_; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    float* const own[] = {buffers[input_], scratch, buffers[output_]};
    for (Size piece = begin; piece < end; ++piece) {
      const ChannelBlock& block = blocks_[static_cast<std::size_t>(piece)];
      for (const Step* step : {block.first.get(), block.second.get()})
        step->run(own, 0, step->pieces(), scratch + between_floats_);
    }
  }

 private:
  std::vector<ChannelBlock> blocks_;
  int input_, output_;
  Size between_floats_, scratch_ = 0;
};

}  // namespace

bool pays_in_blocks(const Layout& between) {
  return between.groups() == 1 && between.row_channels == 0 && between.floats() * kFloatBytes >= kLeastBytes &&
         between.image.channels >= kFewestBlocks * kFewestChannels;
}

std::vector<Range> channel_blocks(const Layout& between) {
  const Size channels = between.image.channels;
  const Size by_cache = kBlockBytes * channels / (between.floats() * kFloatBytes);
  return parts(channels, std::clamp(by_cache, kFewestChannels, channels / kFewestBlocks));
}

Layout channels_alone(const Layout& layout, const Range& channels) {
  Layout some = layout;
  some.image.channels = channels.count();
  some.first_channel = some.row_channels = 0;
  return some;
}

Layout channels_among(const Layout& layout, const Range& channels) {
  Layout some = layout;
  some.row_channels = layout.row_channels > 0 ? layout.row_channels : layout.image.channels;
  some.first_channel = layout.first_channel + channels.begin;
  some.image.channels = channels.count();
  return some;
}

std::unique_ptr<Step> make_channel_blocks(std::vector<ChannelBlock> blocks, int input, const Layout& between,
                                          int output) {
  return std::make_unique<ChannelBlocks>(std::move(blocks), input, between.floats(), output);
}

}  // namespace netsurgery
