// Conv with one to three spatial axes, any strides, dilations, pads and groups: weight by weight, each times a shifted
// picture (as SkimCaffe does: Park et al., ICLR 2017), so that a weight that isn't there costs nothing.
#include "plain/makers.hpp"
#include "plain/weights.hpp"
#include "plain/windows.hpp"

namespace netsurgery::plain {
namespace {

constexpr Size kTileEntries = 2048;  // of output: it stays in the nearest cache while all weights pass

class Convolution final : public PlainKernel {
 public:
  explicit Convolution(const Making& making) : parts_(1, 1) {
    const Shape& x = making.operands[0];
    const Constant& weight = *making.constant(1);
    const Shape kernel(weight.shape.begin() + 2, weight.shape.end());
    axes_ = window_axes(x, kernel, making.output, making.attributes());
    in_channels_ = x[1];
    out_channels_ = making.output[1];
    group_in_ = weight.shape[1];
    group_out_ = out_channels_ / making.attributes().integer(AttributeName::kGroups);
    if (const Constant* bias = making.constant(2)) bias_ = bias->dense();
    bias_.resize(static_cast<std::size_t>(out_channels_), 0.0f);

    const auto& [depth, height, width] = axes_;
    for (Size z = 0; z < depth.kernel; ++z)
      for (Size y = 0; y < height.kernel; ++y)
        for (Size k = 0; k < width.kernel; ++k) places_.push_back({place(depth, z), place(height, y), place(width, k)});
    const Size per_channel = static_cast<Size>(places_.size());
    const SparseRows rows(weight);
    starts_ = rows.starts;
    for (std::size_t i = 0; i < rows.values.size(); ++i) {
      const Size column = rows.columns[i];
      taps_.push_back({rows.values[i], static_cast<std::uint32_t>(column / per_channel),
                       static_cast<std::uint32_t>(column % per_channel)});
    }

    const Size lines = depth.out * height.out;
    tile_ = std::clamp<Size>(kTileEntries / width.out, 1, lines);
    tiles_ = quotient_up(lines, tile_);
    const Size pictures = making.output[0] * out_channels_;
    const Size taps_each = quotient_up(static_cast<Size>(taps_.size()) + 1, out_channels_);
    cost_ = pictures * taps_each * lines * width.out;
    parts_ = Parts(pictures * tiles_, 1, quotient_up(4 * kPieceEntries, taps_each * tile_ * width.out));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const Size in_picture = axes_[0].in * axes_[1].in * axes_[2].in;
    const Size lines = axes_[0].out * axes_[1].out;
    parts_.each(begin, end, [&](Size row, Size, Size) {
      const Size picture = row / tiles_, first = row % tiles_ * tile_, last = std::min(first + tile_, lines);
      const Size channel = picture % out_channels_, image = picture / out_channels_;
      const Size first_channel = image * in_channels_ + channel / group_out_ * group_in_;
      float* y = output + picture * lines * axes_[2].out;
      std::fill(y + first * axes_[2].out, y + last * axes_[2].out, bias_[static_cast<std::size_t>(channel)]);
      const std::size_t end_of_row = starts_[static_cast<std::size_t>(channel) + 1];
      for (std::size_t i = starts_[static_cast<std::size_t>(channel)]; i < end_of_row; ++i) {
        const Tap& tap = taps_[i];
        add(inputs[0] + (first_channel + tap.channel) * in_picture, tap.weight, places_[tap.place], first, last, y);
      }
    });
  }

 private:
  struct Tap {
    float weight;
    std::uint32_t channel, place;
  };
  struct KernelPlace {
    Place depth, height, width;
  };

  static Place place(const WindowAxis& axis, Size at) { return {at, axis.first_window(at), axis.last_window(at)}; }

  /// Adds weight * x, shifted, to lines first .. last - 1 of y. x: a channel of the input; y: one of the output.
  void add(const float* x, float weight, const KernelPlace& at, Size first, Size last, float* y) const {
    const auto& [depth, height, width] = axes_;
    const Size count = at.width.last - at.width.first;
    if (count <= 0) return;
    x += width.entry(at.width.first, at.width.place);
    y += at.width.first;
    for (Size z = std::max(at.depth.first, first / height.out); z < at.depth.last && z * height.out < last; ++z) {
      const Size from = std::max(at.height.first, first - z * height.out);
      const Size to = std::min(at.height.last, last - z * height.out);
      const float* source = x + depth.entry(z, at.depth.place) * height.in * width.in;
      for (Size line = from; line < to; ++line)
        add_line(source + height.entry(line, at.height.place) * width.in, weight, count,
                 y + (z * height.out + line) * width.out);
    }
  }

  void add_line(const float* __restrict x, float weight, Size count, float* __restrict y) const {
    const Size stride = axes_[2].stride;
    if (stride == 1)
      for (Size i = 0; i < count; ++i) y[i] += weight * x[i];
    else if (stride == 2)
      for (Size i = 0; i < count; ++i) y[i] += weight * x[2 * i];
    else
      for (Size i = 0; i < count; ++i) y[i] += weight * x[stride * i];
  }

  WindowAxes axes_;
  Size in_channels_, out_channels_, group_in_, group_out_;
  std::vector<float> bias_;
  std::vector<Tap> taps_;            // by output channel
  std::vector<std::size_t> starts_;  // of each in taps_
  std::vector<KernelPlace> places_;
  Size tile_, tiles_, cost_;  // lines of output that are worked on together; so many such
  Parts parts_;
};

}  // namespace

Kernel make_conv(const Making& making) { return std::make_unique<Convolution>(making); }

}  // namespace netsurgery::plain
