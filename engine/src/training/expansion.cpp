#include "training/expansion.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "base/arithmetic.hpp"
#include "threads/threads.hpp"
#include "training/kernels.hpp"

namespace netsurgery {
namespace {

constexpr double kRounding = 0x1p-20;  // of a filter's norm: less than that is what float32 rounds
constexpr double kDependent = 1e-9;    // of its entries: a plane so close to the span of those before it lies in it
constexpr std::ptrdiff_t kPiece = 1 << 15;   // weights that a thread takes at a time
constexpr std::ptrdiff_t kThread = 1 << 18;  // weights that are worth a thread

/// The scales of a filter's planes and how they are found, in float64.
class Scales {
 public:
  Scales(std::ptrdiff_t entries, bool refined) : entries_(static_cast<double>(entries)), refined_(refined) {}

  double operator[](int plane) const { return scales_[plane]; }

  /// Adds the scale of the next plane; refined, all others change too. As `_refit` in expansion.py: the inverse of BᵀB
  /// grows by bordering, and the scales change by the residual's norm times its last column.
  void add(const PlaneSums& sums) {
    const int last = planes_++;
    if (last == 0) rounding_ = kRounding * sums.norm;
    const double norm = last > 0 && sums.norm <= rounding_ ? 0.0 : sums.norm;
    scales_[last] = 0.0;
    if (!refined_) {
      scales_[last] = norm / entries_;
      return;
    }
    double projection[kMostPlanes], own = entries_;
    for (int i = 0; i < last; ++i) {
      projection[i] = 0.0;
      for (int k = 0; k < last; ++k) projection[i] += inverse_[i][k] * overlap(sums, k);
      own -= projection[i] * overlap(sums, i);
    }
    projection[last] = -1.0;
    const double factor = own > kDependent * entries_ ? 1.0 / own : 0.0;
    for (int i = 0; i <= last; ++i) {
      scales_[i] += -projection[i] * factor * norm;
      for (int k = 0; k <= last; ++k) inverse_[i][k] += projection[i] * factor * projection[k];
    }
  }

  /// Makes the scales >= 0 and falling. True if that changed planes: code[c] is what has become of code c then.
  bool put_in_order(std::uint8_t* code) {
    bool in_order = !(scales_[planes_ - 1] < 0);
    for (int i = 1; i < planes_; ++i) in_order = in_order && !(scales_[i - 1] < scales_[i]);
    if (in_order) return false;
    int order[kMostPlanes];
    std::iota(order, order + planes_, 0);
    std::stable_sort(order, order + planes_,
                     [this](int a, int b) { return std::fabs(scales_[a]) > std::fabs(scales_[b]); });
    for (int c = 0; c < 1 << planes_; ++c) {
      code[c] = 0;
      for (int i = 0; i < planes_; ++i)
        code[c] |= static_cast<std::uint8_t>(((c >> order[i] & 1) ^ (scales_[order[i]] < 0)) << i);
    }
    double sorted[kMostPlanes];
    for (int i = 0; i < planes_; ++i) sorted[i] = std::fabs(scales_[order[i]]);
    std::copy_n(sorted, planes_, scales_);
    return true;
  }

  /// As `_in_whole_steps` in expansion.py: all sums of scales are float32 then.
  void round_to_whole_steps() {
    int exponent;
    std::frexp(std::max(std::accumulate(scales_, scales_ + planes_, 0.0), 0x1p-126), &exponent);
    double step = std::ldexp(1.0, exponent - 24), steps = 0.0;
    for (int i = 0; i < planes_; ++i) steps += std::nearbyint(scales_[i] / step);
    if (steps >= 0x1p24) step *= 2;
    for (int i = 0; i < planes_; ++i) scales_[i] = std::nearbyint(scales_[i] / step) * step;
  }

 private:
  double overlap(const PlaneSums& sums, int plane) const {
    return entries_ - 2.0 * static_cast<double>(sums.differing[plane]);
  }

  const double entries_;
  const bool refined_;
  int planes_ = 0;
  double rounding_ = 0.0;
  double scales_[kMostPlanes];
  double inverse_[kMostPlanes][kMostPlanes] = {};
};

void expand_filter(const TrainingKernels& kernels, const Filters& layer, std::ptrdiff_t filter, bool refined) {
  const std::ptrdiff_t entries = layer.entries;
  float* const weights = layer.weights + filter * entries;
  float* const scales = layer.scales + filter * layer.planes;
  std::uint8_t* const codes = layer.codes + filter * entries;
  std::copy_n(weights, entries, layer.latent + filter * entries);
  Scales found(entries, refined);
  const auto put = [&](int count) {
    for (int i = 0; i < count; ++i) scales[i] = static_cast<float>(found[i]);
  };
  for (int plane = 0; plane < layer.planes; ++plane) {
    PlaneSums sums;
    kernels.next_plane({weights, codes, entries, scales, plane}, sums);
    found.add(sums);
    put(plane + 1);
  }
  std::uint8_t code[1 << kMostPlanes];
  if (found.put_in_order(code))
    std::transform(codes, codes + entries, codes, [&code](std::uint8_t old) { return code[old]; });
  found.round_to_whole_steps();
  put(layer.planes);
  kernels.plane_total({codes, scales, layer.planes, entries, weights});
}

/// Calls work(index of a layer, filter) for all filters of all layers, from several threads.
template <class Work>
void for_each_filter(const std::vector<Filters>& layers, int threads, const Work& work) {
  struct Piece {
    std::size_t layer;
    std::ptrdiff_t first, last;
  };
  std::vector<Piece> pieces;
  std::ptrdiff_t weights = 0;
  for (std::size_t index = 0; index < layers.size(); ++index) {
    const Filters& layer = layers[index];
    weights += layer.filters * layer.entries;
    const std::ptrdiff_t each = std::max<std::ptrdiff_t>(1, kPiece / layer.entries);
    for (std::ptrdiff_t first = 0; first < layer.filters; first += each)
      pieces.push_back({index, first, std::min(first + each, layer.filters)});
  }
  std::atomic<std::size_t> next{0};
  auto loop = [&](int) {
    const DefaultArithmetic arithmetic;
    for (std::size_t i; (i = next.fetch_add(1)) < pieces.size();)
      for (std::ptrdiff_t filter = pieces[i].first; filter < pieces[i].last; ++filter) work(pieces[i].layer, filter);
  };
  Threads(static_cast<int>(std::min<std::ptrdiff_t>(threads, 1 + weights / kThread))).run(loop);
}

}  // namespace

void expand(const std::vector<Filters>& layers, bool refined, int threads) {
  const TrainingKernels& kernels = training_kernels_for(chosen());
  for_each_filter(layers, threads, [&](std::size_t layer, std::ptrdiff_t filter) {
    expand_filter(kernels, layers[layer], filter, refined);
  });
}

void sum(const std::vector<Filters>& layers, int threads) {
  const TrainingKernels& kernels = training_kernels_for(chosen());
  for_each_filter(layers, threads, [&](std::size_t index, std::ptrdiff_t filter) {
    const Filters& layer = layers[index];
    const std::ptrdiff_t at = filter * layer.entries;
    kernels.plane_sum(
        {layer.codes + at, layer.scales + filter * layer.planes, layer.planes, layer.entries, layer.weights + at});
  });
}

std::vector<bool> adopt(const std::vector<Filters>& layers, int threads) {
  const TrainingKernels& kernels = training_kernels_for(chosen());
  std::vector<std::atomic<bool>> written(layers.size());
  for_each_filter(layers, threads, [&](std::size_t index, std::ptrdiff_t filter) {
    const Filters& layer = layers[index];
    const std::ptrdiff_t at = filter * layer.entries;
    if (kernels.adopt({layer.weights + at, layer.latent + at, layer.codes + at, layer.scales + filter * layer.planes,
                       layer.planes, layer.entries}))
      written[index] = true;
  });
  return {written.begin(), written.end()};
}

}  // namespace netsurgery
