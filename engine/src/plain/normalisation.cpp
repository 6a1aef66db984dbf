// LayerNorm, RmsNorm and Lrn, in double until the end.
#include <cmath>

#include "isa/runs.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

class LayerNorm final : public PlainKernel {
 public:
  explicit LayerNorm(const Making& making)
      : epsilon_(static_cast<double>(making.attributes().number(AttributeName::kEpsilon))),
        parts_(1, 1),
        of_row_(making.kernels.layer_norm_row) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    length_ = entries(x, axis, x.size());
    rows_ = entries(x, 0, axis);
    scale_ = dense_or(making.constant(1), length_, 1.0f);
    bias_ = dense_or(making.constant(2), length_, 0.0f);
    parts_ = Parts(rows_, 1, quotient_up(kPieceEntries / 2, length_));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return rows_ * length_ * 6; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    LayerNormRow work{};
    work.count = length_;
    work.scale = scale_.data();
    work.bias = bias_.data();
    work.epsilon = epsilon_;
    parts_.each(begin, end, [&](Size row, Size, Size) {
      work.input = inputs[0] + row * length_;
      work.output = output + row * length_;
      of_row_(work);
    });
  }

 private:
  double epsilon_;
  Size length_, rows_;
  std::vector<float> scale_, bias_;
  Parts parts_;
  void (*of_row_)(const LayerNormRow&);
};

class RmsNorm final : public PlainKernel {
 public:
  explicit RmsNorm(const Making& making)
      : epsilon_(static_cast<double>(making.attributes().number(AttributeName::kEpsilon))), parts_(1, 1) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    length_ = entries(x, axis, x.size());
    rows_ = entries(x, 0, axis);
    scale_ = dense_or(making.constant(1), length_, 1.0f);
    parts_ = Parts(rows_, 1, quotient_up(kPieceEntries / 2, length_));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return rows_ * length_ * 3; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const float* __restrict scale = scale_.data();
    parts_.each(begin, end, [&](Size row, Size, Size) {
      const float* __restrict x = inputs[0] + row * length_;
      float* __restrict y = output + row * length_;
      const double squares =
          sum_of(x, length_, [](float value) { return static_cast<double>(value) * static_cast<double>(value); });
      const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(length_) + epsilon_);
      for (Size i = 0; i < length_; ++i)
        y[i] = static_cast<float>(static_cast<double>(x[i]) * inverse * static_cast<double>(scale[i]));
    });
  }

 private:
  double epsilon_;
  Size length_, rows_;
  std::vector<float> scale_;
  Parts parts_;
};

/// x over a power of the squares around it, in channels c - before .. c + after.
class Lrn final : public PlainKernel {
 public:
  explicit Lrn(const Making& making)
      : channels_(making.operands[0][1]),
        inner_(entries(making.operands[0], 2, making.operands[0].size())),
        before_((making.attributes().integer(AttributeName::kSize) - 1) / 2),
        after_(making.attributes().integer(AttributeName::kSize) / 2),
        alpha_(static_cast<double>(making.attributes().number(AttributeName::kAlpha)) /
               static_cast<double>(making.attributes().integer(AttributeName::kSize))),
        beta_(static_cast<double>(making.attributes().number(AttributeName::kBeta))),
        bias_(static_cast<double>(making.attributes().number(AttributeName::kBias))),
        rows_(making.operands[0][0] * channels_),
        parts_(rows_, inner_, kLongest) {}
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return 2 * parts_.longest(); }
  Size cost() const override { return rows_ * inner_ * (std::min(before_ + after_ + 1, channels_) + 8); }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    double* __restrict sums = reinterpret_cast<double*>(scratch);
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Size channel = row % channels_, width = to - from;
      const Size first = std::max<Size>(channel - before_, 0), last = std::min(channel + after_, channels_ - 1);
      std::fill_n(sums, width, 0.0);
      for (Size c = first; c <= last; ++c) {
        const float* __restrict x = inputs[0] + (row - channel + c) * inner_ + from;
        for (Size k = 0; k < width; ++k) sums[k] += static_cast<double>(x[k]) * static_cast<double>(x[k]);
      }
      for (Size k = 0; k < width; ++k) sums[k] = bias_ + alpha_ * sums[k];
      to_power(sums, width);
      const float* __restrict x = inputs[0] + row * inner_ + from;
      float* __restrict y = output + row * inner_ + from;
      for (Size k = 0; k < width; ++k) y[k] = static_cast<float>(static_cast<double>(x[k]) / sums[k]);
    });
  }

 private:
  static constexpr Size kLongest = 512;

  /// values ^ beta; by roots for the power that everybody uses, where no sign can make a difference.
  void to_power(double* __restrict values, Size count) const {
    if (beta_ == 0.75 && alpha_ >= 0.0 && bias_ > 0.0)
      for (Size k = 0; k < count; ++k) {
        const double root = std::sqrt(values[k]);
        values[k] = root * std::sqrt(root);
      }
    else
      for (Size k = 0; k < count; ++k) values[k] = std::pow(values[k], beta_);
  }

  Size channels_, inner_, before_, after_;
  double alpha_, beta_, bias_;
  Size rows_;
  Parts parts_;
};

}  // namespace

Kernel make_layer_norm(const Making& making) { return std::make_unique<LayerNorm>(making); }

Kernel make_rms_norm(const Making& making) { return std::make_unique<RmsNorm>(making); }

Kernel make_lrn(const Making& making) { return std::make_unique<Lrn>(making); }

}  // namespace netsurgery::plain
