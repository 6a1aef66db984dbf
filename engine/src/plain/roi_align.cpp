// RoiAlign: bins of boxes that are computed as the network runs, none of which is trusted.
#include <array>
#include <cmath>

#include "plain/makers.hpp"
#include "plain/outside.hpp"
#include "plain/parts.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

constexpr float kFurthest = 4194304.0f;  // 2^22 entries: positions so far away are half an entry apart as floats
constexpr double kRounding = 4.0;        // entries by which a position may be rounded

/// A side of a box. In float, as those round who made it: how many samples a bin has is a number rounded up.
struct Side {
  float start, bin;  // of the box, and how long each bin is
  double samples;    // of each bin
  float samples_rounded;

  float at(Size number, Size sample) const {
    return start + static_cast<float>(number) * bin + (static_cast<float>(sample) + 0.5f) * bin / samples_rounded;
  }
};

/// The neighbours of a sample, and how much each counts.
struct Between {
  Size low, high;
  double of_low, of_high;
};

Between between(float at, Size size) {
  const double place = std::max(static_cast<double>(at), 0.0);
  const auto low = static_cast<Size>(place);
  if (low >= size - 1) return {size - 1, size - 1, 1.0, 0.0};
  const double share = place - static_cast<double>(low);
  return {low, low + 1, 1.0 - share, share};
}

template <class Index>
class RoiAlign final : public PlainKernel {
 public:
  explicit RoiAlign(const Making& making)
      : images_(making.operands[0][0]),
        channels_(making.operands[0][1]),
        sizes_{making.operands[0][2], making.operands[0][3]},
        bins_{making.output[2], making.output[3]},
        boxes_(making.output[0]),
        count_(making.attributes().integer(AttributeName::kCount)),
        scale_(making.attributes().number(AttributeName::kScale)),
        half_pixel_(making.attributes().choice<RoiAlignCoordinates>(AttributeName::kCoordinates) ==
                    RoiAlignCoordinates::kHalfPixel),
        largest_(making.attributes().choice<RoiAlignMode>(AttributeName::kMode) == RoiAlignMode::kMax) {}
  Size pieces() const override { return boxes_ * channels_; }
  Size cost() const override {
    return boxes_ * channels_ * bins_[0] * bins_[1] * 4 * std::max<Size>(count_ * count_, 4);
  }
  bool may_fail() const override { return true; }
  std::string fault() const override { return outside_.said(); }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size box = piece / channels_;
      float* y = output + piece * bins_[0] * bins_[1];
      const Size image = outside_.place(static_cast<Size>(seen_as<Index>(inputs[1])[box]), images_);
      std::array<Side, 2> sides;
      const bool possible = image >= 0 && sides_of(inputs[2] + 4 * box, sides);
      if (!possible) {
        std::fill_n(y, bins_[0] * bins_[1], 0.0f);
        continue;
      }
      const float* x = inputs[0] + (image * channels_ + piece % channels_) * sizes_[0] * sizes_[1];
      for (Size down = 0; down < bins_[0]; ++down)
        for (Size along = 0; along < bins_[1]; ++along) y[down * bins_[1] + along] = bin(x, sides, down, along);
    }
  }

 private:
  /// Top and bottom, then left and right; false if they aren't finite.
  bool sides_of(const float* box, std::array<Side, 2>& sides) const {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const float offset = half_pixel_ ? 0.5f : 0.0f;
      const float start = box[1 - axis] * scale_ - offset, stop = box[3 - axis] * scale_ - offset;
      float length = stop - start;
      if (!half_pixel_ && !(length >= 1.0f)) length = 1.0f;
      const float bin = length / static_cast<float>(bins_[axis]);
      if (!(std::fabs(start) <= kFurthest && std::fabs(stop) <= kFurthest)) return false;  // nor is NaN
      const double samples =
          count_ > 0 ? static_cast<double>(count_) : std::max(std::ceil(static_cast<double>(bin)), 0.0);
      sides[axis] = {start, bin, samples, static_cast<float>(samples)};
    }
    return true;
  }

  /// The samples first .. last - 1 of a bin are all that may lie within x: of a box without bounds these are few.
  std::array<Size, 2> near(const Side& side, Size number, Size size) const {
    if (count_ > 0) return {0, count_};
    if (side.samples < 1.0) return {0, 0};
    const double begin = static_cast<double>(side.start) + static_cast<double>(number) * static_cast<double>(side.bin);
    const double step = static_cast<double>(side.bin) / side.samples;  // above 0 and at most 1
    const double first = std::floor((-1.0 - kRounding - begin) / step) - 1.0;
    const double last = std::ceil((static_cast<double>(size) + kRounding - begin) / step) + 1.0;
    return {static_cast<Size>(std::clamp(first, 0.0, side.samples)),
            static_cast<Size>(std::clamp(last, 0.0, side.samples))};
  }

  float bin(const float* x, const std::array<Side, 2>& sides, Size down, Size along) const {
    const auto [top, bottom] = near(sides[0], down, sizes_[0]);
    const auto [left, right] = near(sides[1], along, sizes_[1]);
    double total = 0.0;
    bool any =
        static_cast<double>(bottom - top) < sides[0].samples || static_cast<double>(right - left) < sides[1].samples;
    for (Size i = top; i < bottom; ++i) {
      const float row = sides[0].at(down, i);
      const bool row_within = row >= -1.0f && row <= static_cast<float>(sizes_[0]);
      if (!row_within && !largest_) continue;
      for (Size j = left; j < right; ++j) {
        const float column = sides[1].at(along, j);
        const bool within = row_within && column >= -1.0f && column <= static_cast<float>(sizes_[1]);
        if (!within && !largest_) continue;
        const double value = within ? sample(x, between(row, sizes_[0]), between(column, sizes_[1])) : 0.0;
        total = largest_ ? (any && !(total < value) ? total : value) : total + value;
        any = true;
      }
    }
    return static_cast<float>(largest_ ? total : total / std::max(sides[0].samples * sides[1].samples, 1.0));
  }

  double sample(const float* x, const Between& row, const Between& column) const {
    const auto part = [&](Size i, Size j, double weight) {
      return weight == 0.0 ? 0.0 : weight * static_cast<double>(x[i * sizes_[1] + j]);
    };
    const double a = part(row.low, column.low, row.of_low * column.of_low);
    const double b = part(row.low, column.high, row.of_low * column.of_high);
    const double c = part(row.high, column.low, row.of_high * column.of_low);
    const double d = part(row.high, column.high, row.of_high * column.of_high);
    return largest_ ? std::max(std::max(a, b), std::max(c, d)) : a + b + c + d;
  }

  Size images_, channels_;
  std::array<Size, 2> sizes_, bins_;
  Size boxes_, count_;
  float scale_;
  bool half_pixel_, largest_;
  Outside outside_;
};

}  // namespace

Kernel make_roi_align(const Making& making) {
  return with_whole(making.type(1),
                    [&](auto index) -> Kernel { return std::make_unique<RoiAlign<decltype(index)>>(making); });
}

}  // namespace netsurgery::plain
