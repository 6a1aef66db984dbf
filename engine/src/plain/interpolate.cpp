// Interpolate: along each axis an entry is a weighted sum of its neighbours. Weights are worked out when a run is
// planned.
#include <array>
#include <cmath>
#include <cstring>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/positions.hpp"

namespace netsurgery::plain {
namespace {

/// A share of entry number `place` of x.
struct Tap {
  Size place;
  double weight;
};

/// Along one axis: the taps of output i are numbers start[i] .. start[i + 1] - 1; none: it lies outside of x.
struct TapTable {
  Size in = 1;
  std::vector<Tap> taps{{0, 1.0}};
  std::vector<std::size_t> start{0, 1};

  Size out() const { return static_cast<Size>(start.size()) - 1; }
  std::size_t most() const {
    std::size_t result = 0;
    for (std::size_t i = 0; i + 1 < start.size(); ++i) result = std::max(result, start[i + 1] - start[i]);
    return result;
  }
};

class Tables {
 public:
  explicit Tables(const Making& making) : attributes_(making.attributes()) {
    const std::size_t count = making.output.size() - 2;
    for (std::size_t axis = 0; axis < count; ++axis)
      all[3 - count + axis] = table(axis, count, making.operands[0][axis + 2], making.output[axis + 2]);
  }

  std::array<TapTable, 3> all;  // depth, height, width; what isn't there has one entry

 private:
  TapTable table(std::size_t axis, std::size_t count, Size in, Size out) const {
    const std::vector<float>& scales = attributes_.numbers(AttributeName::kScales);
    const double scale = scales.empty() ? 0.0 : static_cast<double>(scales[axis]);
    const auto coordinates = attributes_.choice<InterpolateCoordinates>(AttributeName::kCoordinates);
    TapTable result{in, {}, {0}};
    for (Size i = 0; i < out; ++i) {
      if (coordinates == InterpolateCoordinates::kTfCropAndResize) {
        const std::vector<float>& roi = attributes_.numbers(AttributeName::kRoi);
        const auto begin = static_cast<double>(roi[axis]), end = static_cast<double>(roi[count + axis]);
        const auto last = static_cast<double>(in - 1);
        const double at =
            out == 1 ? (begin + end) * last / 2.0
                     : begin * last + static_cast<double>(i) * (end - begin) * last / static_cast<double>(out - 1);
        if (at >= 0.0 && at <= last)
          add(at, scale == 0.0 ? static_cast<double>(out) / static_cast<double>(in) : scale, result);
      } else {
        // The choices are those of Resize and one more.
        const double at = resized_position(i, in, out, scale, static_cast<ResizeCoordinates>(coordinates));
        add(at, scale == 0.0 ? static_cast<double>(out) / static_cast<double>(in) : scale, result);
      }
      result.start.push_back(result.taps.size());
    }
    return result;
  }

  /// The taps around a position. Of those beyond an end, that end is taken; each place occurs once.
  void add(double at, double scale, TapTable& table) const {
    const auto mode = attributes_.choice<InterpolateMode>(AttributeName::kMode);
    const auto a = static_cast<double>(attributes_.number(AttributeName::kAlpha));
    const bool antialias = attributes_.flag(AttributeName::kAntialias);
    const bool inside_only = attributes_.flag(AttributeName::kExcludeOutside);
    const double narrowing = antialias ? std::min(scale, 1.0) : 1.0;
    const double reach = (mode == InterpolateMode::kLinear ? 1.0 : 2.0) / narrowing;
    const std::size_t first = table.taps.size();
    const auto last = static_cast<double>(table.in - 1);
    at = std::clamp(at, -reach - 1.0, last + reach + 1.0);  // further away there is only the same end
    double sum = 0.0;
    for (double place = std::floor(at - reach) + 1.0; place < at + reach; place += 1.0) {
      const double weight = neighbour_weight((place - at) * narrowing, mode == InterpolateMode::kCubic, a);
      if (weight == 0.0 || (inside_only && !(place >= 0.0 && place <= last))) continue;
      const auto kept = static_cast<Size>(std::clamp(place, 0.0, last));
      if (table.taps.size() > first && table.taps.back().place == kept)
        table.taps.back().weight += weight;
      else
        table.taps.push_back({kept, weight});
      sum += weight;
    }
    if (table.taps.size() == first)
      table.taps.push_back({static_cast<Size>(std::clamp(std::round(at), 0.0, last)), sum = 1.0});
    if (antialias || inside_only)
      for (std::size_t tap = first; tap < table.taps.size(); ++tap) table.taps[tap].weight /= sum;
  }

  const Attributes& attributes_;
};

/// Row by row of the output: rows of x are summed first, entries along the sum then. In double.
class Interpolate final : public PlainKernel {
 public:
  explicit Interpolate(const Making& making)
      : tables_(Tables(making).all),
        fill_(making.attributes().number(AttributeName::kValue)),
        rows_(making.output[0] * making.output[1] * tables_[0].out() * tables_[1].out()),
        per_row_(static_cast<Size>(tables_[0].most() * tables_[1].most()) * tables_[2].in +
                 static_cast<Size>(tables_[2].most()) * tables_[2].out()),
        parts_(rows_, tables_[2].out(), std::max(kPieceEntries, tables_[2].out())) {}
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return 2 * tables_[2].in; }
  Size cost() const override { return rows_ * std::max<Size>(per_row_, 1); }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    double* sums = reinterpret_cast<double*>(scratch);
    const auto& [depth, height, width] = tables_;
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const auto down = static_cast<std::size_t>(row % height.out());
      const auto far = static_cast<std::size_t>(row / height.out() % depth.out());
      const Size map = row / (height.out() * depth.out());
      float* y = output + row * width.out();
      const bool outside = height.start[down] == height.start[down + 1] || depth.start[far] == depth.start[far + 1];
      if (outside) {
        std::fill(y + from, y + to, fill_);
        return;
      }
      sum_rows(inputs[0] + map * depth.in * height.in * width.in, far, down, sums);
      for (Size i = from; i < to; ++i) y[i] = along(sums, static_cast<std::size_t>(i));
    });
  }

 private:
  void sum_rows(const float* x, std::size_t far, std::size_t down, double* __restrict sums) const {
    const auto& [depth, height, width] = tables_;
    std::fill_n(sums, width.in, 0.0);
    for (std::size_t i = depth.start[far]; i < depth.start[far + 1]; ++i)
      for (std::size_t j = height.start[down]; j < height.start[down + 1]; ++j) {
        const double weight = depth.taps[i].weight * height.taps[j].weight;
        const float* __restrict seen = x + (depth.taps[i].place * height.in + height.taps[j].place) * width.in;
        for (Size k = 0; k < width.in; ++k) sums[k] += weight * static_cast<double>(seen[k]);
      }
  }

  float along(const double* sums, std::size_t i) const {
    const TapTable& width = tables_[2];
    if (width.start[i] == width.start[i + 1]) return fill_;
    double sum = 0.0;
    for (std::size_t tap = width.start[i]; tap < width.start[i + 1]; ++tap)
      sum += width.taps[tap].weight * sums[width.taps[tap].place];
    return static_cast<float>(sum);
  }

  std::array<TapTable, 3> tables_;
  float fill_;
  Size rows_, per_row_;
  Parts parts_;
};

}  // namespace

Kernel make_interpolate(const Making& making) { return std::make_unique<Interpolate>(making); }

}  // namespace netsurgery::plain
