// NonMaxSuppression: the best boxes of each image and class that don't overlap better ones.
#include <array>
#include <cmath>
#include <numeric>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

/// In float and compared in this order, as ONNX Runtime does it: a threshold is met by the same boxes.
struct Box {
  std::array<float, 2> low, high;

  float area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

Box of_corners(const float* box) {
  Box result;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const float one = box[axis], other = box[axis + 2];
    const bool flipped = one >= other;
    result.low[axis] = flipped ? other : one;
    result.high[axis] = flipped ? one : other;
  }
  return result;
}

Box of_center(const float* box) {
  Box result;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const float half = box[axis + 2] / 2.0f;
    result.low[axis] = box[axis] - half;
    result.high[axis] = box[axis] + half;
  }
  return result;
}

bool overlap(const Box& one, const Box& other, float threshold) {
  Box shared;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    shared.low[axis] = std::max(one.low[axis], other.low[axis]);
    shared.high[axis] = std::min(one.high[axis], other.high[axis]);
    if (shared.high[axis] <= shared.low[axis]) return false;
  }
  const float both = shared.area(), a = one.area(), b = other.area(), all = a + b - both;
  if (both <= 0.0f || a <= 0.0f || b <= 0.0f || all <= 0.0f) return false;
  return both / all > threshold;
}

class NonMaxSuppression final : public PlainKernel {
 public:
  explicit NonMaxSuppression(const Making& making)
      : images_(making.operands[1][0]),
        classes_(making.operands[1][1]),
        boxes_(making.operands[1][2]),
        most_(std::min(making.attributes().integer(AttributeName::kCount), boxes_)),
        threshold_(making.attributes().number(AttributeName::kThreshold)),
        minimum_(making.attributes().number(AttributeName::kMinimum)),
        centers_(making.attributes().choice<NonMaxSuppressionOrder>(AttributeName::kOrder) ==
                 NonMaxSuppressionOrder::kCenter),
        counts_(making.attributes().choice<NonMaxSuppressionResult>(AttributeName::kResult) ==
                NonMaxSuppressionResult::kCount) {}
  Size pieces() const override { return 1; }  // where a class's rows stand follows from all before
  Size scratch() const override { return boxes_ + most_; }
  Size cost() const override { return images_ * classes_ * boxes_ * 32; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    if (begin >= end) return;
    auto* order = seen_as<std::int32_t>(scratch);
    std::int32_t* kept = order + boxes_;
    auto* y = seen_as<std::int64_t>(output);
    Size found = 0;
    for (Size image = 0; image < images_; ++image)
      for (Size of = 0; of < classes_; ++of) {
        const float* scores = inputs[1] + (image * classes_ + of) * boxes_;
        const Size count = best(inputs[0] + image * boxes_ * 4, scores, order, kept);
        for (Size i = 0; i < count && !counts_; ++i) {
          std::int64_t* row = y + 3 * (found + i);
          row[0] = image, row[1] = of, row[2] = kept[i];
        }
        found += count;
      }
    if (counts_)
      y[0] = found;
    else
      std::fill(y + 3 * found, y + 3 * images_ * classes_ * most_, 0);
  }

 private:
  /// How many boxes are kept; their numbers, best first.
  Size best(const float* boxes, const float* scores, std::int32_t* order, std::int32_t* kept) const {
    Size candidates = 0, count = 0;
    const bool all = minimum_ == -std::numeric_limits<float>::infinity();
    for (Size i = 0; i < boxes_; ++i)
      if (all || scores[i] > minimum_) order[candidates++] = static_cast<std::int32_t>(i);
    std::sort(order, order + candidates, [&](std::int32_t a, std::int32_t b) {
      const float one = scores[a], other = scores[b];
      if (one != one || other != other) return one == one || (other != other && a < b);  // NaN comes last
      return one > other || (one == other && a < b);
    });
    const auto box = [&](std::int32_t number) {
      const float* numbers = boxes + 4 * static_cast<Size>(number);
      return centers_ ? of_center(numbers) : of_corners(numbers);
    };
    for (Size i = 0; i < candidates && count < most_; ++i) {
      const Box here = box(order[i]);
      const bool hidden =
          std::any_of(kept, kept + count, [&](std::int32_t better) { return overlap(here, box(better), threshold_); });
      if (!hidden) kept[count++] = order[i];
    }
    return count;
  }

  Size images_, classes_, boxes_, most_;
  float threshold_, minimum_;
  bool centers_, counts_;
};

}  // namespace

Kernel make_non_max_suppression(const Making& making) { return std::make_unique<NonMaxSuppression>(making); }

}  // namespace netsurgery::plain
