// Whole numbers of 16 bits in vectors of 32 lanes: values of a network in fixed point, each over the unit of its grid.
//
// A vector takes as much memory as one of floats, so that layouts lie as those of floats do, and count in floats; what
// differs is what a lane stands for, which a tiling of 32 lanes says.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"
#include "lanes/pooling.hpp"

namespace netsurgery {

constexpr Size kLargestShort = 32767;
constexpr Size kShortsPerFloat = 2;
constexpr int kHighestPower = 15;  // of the exponents of whole weights

/// What becomes of a layer's sums: see FixedFinish. A residual lies in a buffer laid out as the output, but for its
/// halo.
struct FixedEnding {
  std::vector<float> scale, shift;  // of each output channel, over the unit of the output's grid
  float low = 0, high = 0;
  int residual = -1;
  Layout residual_layout;
  float own_factor = 1, residual_factor = 1, last_low = 0, last_high = 0;
  std::vector<std::int16_t> offset, factor;  // of each output channel, or of none
  std::vector<std::uint8_t> doublings;       // of its sums, before that
  int own_bits = 0, residual_bits = 0, last_bits = 0;
};

/// A buffer as whole numbers.
inline std::int16_t* shorts(float* memory) { return reinterpret_cast<std::int16_t*>(memory); }

/// What an ending tells kernels from an output on, whose first row has the first of its scales. It doesn't say where a
/// residual lies.
FixedFinish finish_of(const FixedEnding& ending, Size output, Size row);

/// True for operators that put values on a grid.
inline bool puts_on_grid(Operator op) { return op == Operator::kQuantize || op == Operator::kQuantizePlanes; }

/// True if all weights are 0 or ±2^k, 0 <= k <= kHighestPower.
bool is_whole(const Constant& weight);
/// The sums of magnitudes of each row's weights.
std::vector<double> sums_of_magnitudes(const Constant& weight);

/// Between which whole numbers inputs lie. 0 is one of them: what lies outside of a picture.
struct FixedLimits {
  double low = 0, high = 0;

  static FixedLimits of(Size low, Size high) {
    return {static_cast<double>(std::min<Size>(low, 0)), static_cast<double>(std::max<Size>(high, 0))};
  }
  /// The largest magnitude of a sum of inputs with weights whose positive ones, and the others, have these sums.
  double reach(double positive, double negative) const {
    return std::max(positive * high - negative * low, negative * high - positive * low);
  }
};
/// That of each row.
std::vector<double> reaches(const Constant& weight, const FixedLimits& inputs);
/// True if inputs of all channels lie near enough for offsets of 16 bits.
bool fixed_offsets_fit(const Convolution& convolution, const Layout& input);
/// Cycles of one core, roughly. in_shorts: sums are finished in 16 bits.
double fixed_convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output,
                                bool in_shorts);

/// A convolution with whole weights. inputs: at most kLargestShort.
std::unique_ptr<Step> make_fixed_convolution(const Kernels& kernels, const Convolution& convolution,
                                             const FixedLimits& inputs, int input, const Layout& input_layout,
                                             int output, const Layout& output_layout, const FixedEnding& ending,
                                             int threads);

/// The largest of each window; planes of one slice.
std::unique_ptr<Step> make_fixed_pool(const Kernels& kernels, const Windows& windows, int input,
                                      const Layout& input_layout, int output, const Layout& output_layout);

}  // namespace netsurgery
