// GridSample: entries of x at positions that are computed as the network runs, none of which is trusted.
#include <array>
#include <cmath>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/positions.hpp"

namespace netsurgery::plain {
namespace {

constexpr double kCubic = -0.75;
constexpr double kFar = 1099511627776.0;  // 2^40: beyond any size, and a whole number that Size holds
constexpr std::size_t kMostAxes = 3, kMostAlong = 4, kMostTaps = 64;
constexpr Size kBlock = 16;  // positions whose taps are worked out together, for all channels

/// A share of an entry of x.
struct Tap {
  Size place;
  double weight;
};

struct Taps {
  std::array<Tap, kMostTaps> all;
  std::size_t count;
};

class GridSample final : public PlainKernel {
 public:
  explicit GridSample(const Making& making)
      : mode_(making.attributes().choice<GridSampleMode>(AttributeName::kMode)),
        padding_(making.attributes().choice<GridSamplePadding>(AttributeName::kPadding)),
        align_corners_(making.attributes().choice<GridSampleCoordinates>(AttributeName::kCoordinates) ==
                       GridSampleCoordinates::kAlignCorners),
        spatial_(making.operands[0].begin() + 2, making.operands[0].end()),
        channels_(making.operands[0][1]),
        size_(entries(making.operands[0], 2, making.operands[0].size())),
        images_(making.output[0]),
        positions_(entries(making.output, 2, making.output.size())),
        parts_(images_, positions_, std::max<Size>(kBlock, kPieceEntries / channels_)) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override {
    const Size along = mode_ == GridSampleMode::kCubic ? 4 : mode_ == GridSampleMode::kLinear ? 2 : 1;
    Size taps = 1;
    for (std::size_t axis = 0; axis < spatial_.size(); ++axis) taps *= along;
    return images_ * positions_ * taps * (channels_ + 8);
  }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size image, Size from, Size to) {
      const auto axes = static_cast<Size>(spatial_.size());
      const float* grid = inputs[1] + image * positions_ * axes;
      std::array<Taps, kBlock> taps;
      for (Size first = from; first < to; first += kBlock) {
        const Size count = std::min(kBlock, to - first);
        for (Size i = 0; i < count; ++i) find(grid + (first + i) * axes, taps[static_cast<std::size_t>(i)]);
        for (Size channel = 0; channel < channels_; ++channel) {
          const float* x = inputs[0] + (image * channels_ + channel) * size_;
          float* y = output + (image * channels_ + channel) * positions_ + first;
          for (Size i = 0; i < count; ++i) y[i] = sum(x, taps[static_cast<std::size_t>(i)]);
        }
      }
    });
  }

 private:
  static float sum(const float* x, const Taps& taps) {
    double total = 0.0;
    for (std::size_t tap = 0; tap < taps.count; ++tap)
      total += taps.all[tap].weight * static_cast<double>(x[taps.all[tap].place]);
    return static_cast<float>(total);
  }

  /// What a position, whose first number belongs to the last axis, is a sum of. What weighs nothing is no part of it.
  void find(const float* position, Taps& taps) const {
    taps.all[0] = {0, 1.0};
    taps.count = 1;
    for (std::size_t axis = 0; axis < spatial_.size(); ++axis) {
      std::array<Tap, kMostAlong> along;
      const std::size_t count = along_axis(position[spatial_.size() - 1 - axis], spatial_[axis], along);
      Taps finer;
      finer.count = 0;
      for (std::size_t i = 0; i < taps.count; ++i)
        for (std::size_t j = 0; j < count; ++j)
          finer.all[finer.count++] = {taps.all[i].place * spatial_[axis] + along[j].place,
                                      taps.all[i].weight * along[j].weight};
      taps = finer;
    }
  }

  /// In float, as those round who made the grid: half-way between two entries stays half-way.
  double position_of(float at, Size size) const {
    const auto length = static_cast<float>(size);
    const float found = align_corners_ ? (at + 1.0f) / 2.0f * (length - 1.0f) : ((at + 1.0f) * length - 1.0f) / 2.0f;
    return std::isnan(found) ? -kFar : std::clamp(static_cast<double>(found), -kFar, kFar);
  }

  std::size_t along_axis(float at, Size size, std::array<Tap, kMostAlong>& taps) const {
    const double position = position_of(at, size);
    std::size_t count = 0;
    const auto add = [&](double place, double weight) {
      const Size kept = inside(static_cast<Size>(place), size);
      if (weight != 0.0 && kept >= 0) taps[count++] = {kept, weight};
    };
    if (mode_ == GridSampleMode::kNearest) {
      add(std::nearbyint(position), 1.0);
      return count;
    }
    const bool cubic = mode_ == GridSampleMode::kCubic;
    const double before = std::floor(position), share = position - before;
    for (int i = cubic ? -1 : 0; i <= (cubic ? 2 : 1); ++i)
      add(before + i, neighbour_weight(static_cast<double>(i) - share, cubic, kCubic));
    return count;
  }

  /// The entry that stands at a place; -1: none.
  Size inside(Size place, Size size) const {
    if (place >= 0 && place < size) return place;
    if (padding_ == GridSamplePadding::kZeros) return -1;
    if (padding_ == GridSamplePadding::kBorder) return place < 0 ? 0 : size - 1;
    if (size == 1) return 0;
    const Size period = align_corners_ ? 2 * (size - 1) : 2 * size;
    const Size within = (place % period + period) % period;
    return within < size ? within : (align_corners_ ? period : period - 1) - within;
  }

  GridSampleMode mode_;
  GridSamplePadding padding_;
  bool align_corners_;
  Shape spatial_;
  Size channels_, size_, images_, positions_;
  Parts parts_;
};

}  // namespace

Kernel make_grid_sample(const Making& making) { return std::make_unique<GridSample>(making); }

}  // namespace netsurgery::plain
