#include "lanes/rearrangement.hpp"

#include <algorithm>

namespace netsurgery {
namespace {

constexpr double kCyclesPerCopied = 4;  // of a vector

/// Pieces: rows of output tiles in all groups.
class DepthToSpace final : public Step {
 public:
  DepthToSpace(const Blocks& blocks, bool blocks_first, int input, const Layout& input_layout, int output,
               const Layout& output_layout)
      : blocks_(blocks),
        blocks_first_(blocks_first),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout) {}

  Size pieces() const override { return output_layout_.groups() * output_layout_.tiling.rows(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const Tiling &from = input_layout_.tiling, &to = output_layout_.tiling;
    const Size channels = output_layout_.image.channels;
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / to.rows(), at = piece % to.rows(), z = at / to.height, y = at % to.height;
      const Size row = (z % blocks_.z * blocks_.y + y % blocks_.y) * blocks_.x;  // the block of its first pixel
      for (Size c = 0; c < channels; ++c)
        for (Size block = 0; block < blocks_.x; ++block) {
          const Size channel = blocks_first_ ? (row + block) * channels + c : c * blocks_.count() + row + block;
          const float* source = buffers[input_] + input_layout_.at(group, z / blocks_.z, y / blocks_.y, channel, 0);
          float* target = buffers[output_] + output_layout_.at(group, z, y, c, block);
          for (Size x = 0; x < from.width; ++x, source += kVector, target += blocks_.x * kVector)
            std::copy_n(source, kVector, target);
        }
    }
  }

 private:
  Blocks blocks_;
  bool blocks_first_;
  int input_, output_;
  Layout input_layout_, output_layout_;
};

}  // namespace

Tiling Blocks::of(Tiling tiling) const {
  tiling.depth *= z;
  tiling.height *= y;
  tiling.width *= x;
  return tiling;
}

std::unique_ptr<Step> make_depth_to_space(const Blocks& blocks, bool blocks_first, int input,
                                          const Layout& input_layout, int output, const Layout& output_layout) {
  return std::make_unique<DepthToSpace>(blocks, blocks_first, input, input_layout, output, output_layout);
}

double depth_to_space_cycles(const Layout& output) {
  return kCyclesPerCopied * static_cast<double>(output.groups() * output.tiling.vectors() * output.image.channels);
}

}  // namespace netsurgery
