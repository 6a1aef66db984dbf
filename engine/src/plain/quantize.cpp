// Quantize and QuantizePlanes: values on a grid, rounded as IEEE 754 says, step by step, so that every processor gives
// the same bits.
#include <cmath>
#include <type_traits>

#include "base/loops.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

/// Where numbers are rounded to, and within which limits.
class Grid {
 public:
  explicit Grid(const Attributes& attributes) {
    const int exponent = static_cast<int>(attributes.integer(AttributeName::kExponent));
    const int bits = static_cast<int>(attributes.integer(AttributeName::kBits));
    const bool negative = attributes.flag(AttributeName::kSigned);
    per_step_ = std::ldexp(1.0f, -exponent);
    step_ = std::ldexp(1.0f, exponent);
    high_ = std::ldexp(1.0f, negative ? bits - 1 : bits) - 1.0f;
    low_ = negative ? -high_ : 0.0f;
  }
  /// visit(std::true_type) behind a cut to so few bits that adding kRounding leaves a float32 none below 1: it rounds
  /// as nearbyint does, which no compiler makes vectors of. Else visit(std::false_type).
  template <class Visit>
  void rounding(Visit&& visit) const {
    if (high_ < kRounding / 4)
      visit(std::true_type{});
    else
      visit(std::false_type{});
  }

  template <bool kIsNarrow>
  float rounded(float x) const {
    float count = x * per_step_;
    count = count > low_ ? count : low_;  // NaN is above nothing
    count = count < high_ ? count : high_;
    return (kIsNarrow ? (count + kRounding) - kRounding : std::nearbyint(count) + 0.0f) * step_;
  }

 private:
  static constexpr float kRounding = 12582912.0f;

  float per_step_, step_, low_, high_;
};

class Quantize final : public PlainKernel {
 public:
  explicit Quantize(const Making& making) : grid_(making.attributes()), parts_(1, 1) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    channels_ = x[axis];
    length_ = entries(x, axis + 1, x.size());
    rows_ = entries(x, 0, axis) * channels_;
    const auto numbers = [&](std::size_t place, float otherwise) {
      const Constant* given = making.constant(place);
      return given ? given->dense() : std::vector<float>(static_cast<std::size_t>(channels_), otherwise);
    };
    scale_ = numbers(1, 1.0f);
    shift_ = numbers(2, 0.0f);
    parts_ = is_last() ? Parts(rows_ / channels_, channels_) : Parts(rows_, length_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return rows_ * length_ * 2; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    grid_.rounding([&](auto is_narrow) { rows<is_narrow.value>(inputs, output, begin, end); });
  }

 private:
  /// Whether each entry of a row has numbers of its own.
  bool is_last() const { return length_ == 1 && channels_ > 1; }

  template <bool kIsNarrow>
  void rows(const float* const* inputs, float* output, Size begin, Size end) const {
    if (is_last()) {
      parts_.each(begin, end, [&](Size row, Size from, Size to) {
        const float* const x = inputs[0] + row * channels_;
        float* const y = output + row * channels_;
        const float *const scale = scale_.data(), *const shift = shift_.data();
        NETSURGERY_EACH_ALONE  // x may be y
            for (Size i = from; i < to; ++i) {
          const float scaled = x[i] * scale[i];
          y[i] = grid_.rounded<kIsNarrow>(scaled + shift[i]);
        }
      });
      return;
    }
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const auto channel = static_cast<std::size_t>(row % channels_);
      const float scale = scale_[channel], shift = shift_[channel];
      const float* const x = inputs[0] + row * length_;
      float* const y = output + row * length_;
      NETSURGERY_EACH_ALONE  // x may be y
          for (Size i = from; i < to; ++i) {
        const float scaled = x[i] * scale;
        y[i] = grid_.rounded<kIsNarrow>(scaled + shift);
      }
    });
  }

  Grid grid_;
  Size channels_, length_, rows_;
  std::vector<float> scale_, shift_;
  Parts parts_;
};

/// Pieces: parts of the output's rows.
class QuantizePlanes final : public PlainKernel {
 public:
  explicit QuantizePlanes(const Making& making)
      : grid_(making.attributes()),
        planes_(making.attributes().integer(AttributeName::kPlanes)),
        scale_(making.constant(1)->dense()),
        parts_(1, 1) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    channels_ = x[axis] / planes_;
    length_ = entries(x, axis + 1, x.size());
    rows_ = entries(x, 0, axis) * channels_;
    if (const Constant* shift = making.constant(2)) shift_ = shift->dense();
    parts_ = Parts(rows_, length_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return rows_ * length_ * (planes_ + 1); }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    grid_.rounding([&](auto is_narrow) { rows<is_narrow.value>(inputs, output, begin, end); });
  }

 private:
  template <bool kIsNarrow>
  void rows(const float* const* inputs, float* output, Size begin, Size end) const {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const auto channel = static_cast<std::size_t>(row % channels_);
      const float shift = shift_.empty() ? 0.0f : shift_[channel];
      const float* const scale = scale_.data() + channel * static_cast<std::size_t>(planes_);
      const float* const x = inputs[0] + row * planes_ * length_;
      float* y = output + row * length_;
      for (Size i = from; i < to; ++i) y[i] = x[i] * scale[0];
      for (Size plane = 1; plane < planes_; ++plane)
        for (Size i = from; i < to; ++i) {
          const float scaled = x[plane * length_ + i] * scale[plane];
          y[i] = y[i] + scaled;
        }
      for (Size i = from; i < to; ++i) y[i] = grid_.rounded<kIsNarrow>(y[i] + shift);
    });
  }

  Grid grid_;
  Size planes_;
  std::vector<float> scale_, shift_;
  Size channels_, length_, rows_;
  Parts parts_;
};

}  // namespace

Kernel make_quantize(const Making& making) { return std::make_unique<Quantize>(making); }
Kernel make_quantize_planes(const Making& making) { return std::make_unique<QuantizePlanes>(making); }

}  // namespace netsurgery::plain
