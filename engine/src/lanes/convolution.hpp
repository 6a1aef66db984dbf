// Convolution on vectors of lanes, and a fully connected layer as the convolution that it is: its kernel is the
// picture.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"
#include "lanes/ranges.hpp"
#include "lanes/scaling.hpp"
#include "lanes/windows.hpp"

namespace netsurgery {

/// What of a Conv or Linear node matters here. Rows of the weight are output channels, columns (channel of the group,
/// tap).
struct Convolution : Windows {
  const Constant* weight = nullptr;
  const Constant* bias = nullptr;  // may be left out
  Size groups = 1;
  bool exact = false;  // sums are exact in any order of products, and have to be: nothing else may be computed
  std::optional<Scaling> scaling = std::nullopt;  // of the inputs, on the way: where `may_scale`

  Size inputs() const { return weight->columns; }
  Size outputs() const { return weight->rows; }
  /// True if inputs may be scaled on the way, some pixels at a time, rather than all of them before: of windows that
  /// see nothing outside of the picture.
  bool may_scale() const;
  std::vector<float> biases() const;  // of all outputs; zeros where there are none
};

/// What becomes of the sums: a residual in a buffer laid out as the output (but for its halo), then a clip or another
/// function of each.
struct Ending {
  int residual = -1;
  Layout residual_layout;
  bool clips = false;
  float low = 0, high = 0;
  std::optional<AppliedFunction> activation;  // of convolutions and tokens
  int average = -1;                           // of depthwise ones: a buffer for the average of each channel, or -1
};

/// What kernels do with finished sums; those of some output channels from `first` on have a residual where it lies in
/// a group, which places of vectors count from.
Finish finish_of(const Ending& ending);
Finish finish_of(const Ending& ending, Buffers buffers, Size group, Size first);

/// The function of finished sums, while they are in a cache near by: of neighbouring floats of channels that begin
/// `channel` floats apart; or of some vectors of each, `places` floats from `output`.
void activate(const Kernels& kernels, const AppliedFunction& activation, float* output, Size floats, Size channels,
              Size channel);
void activate(const Kernels& kernels, const AppliedFunction& activation, float* output, const std::ptrdiff_t* places,
              Size vectors, Size channels, Size channel);

/// Floats from the first input of a window to that of a column of the weight, both in one group of channels.
Size input_offset(const Convolution& convolution, const Layout& input, Size column);

/// True if `input_offset` in bytes has 32 bits at most, as all ways but the sparse one need it.
bool offsets_fit(const Convolution& convolution, const Layout& input);

/// How a convolution is computed: from one kept weight to the next; with all of them, a lane being a pixel; or an
/// output channel; or with sums of them, a lane being a block of 2 x 2 pixels.
enum class ConvolutionWay : std::uint8_t { kSparse, kDense, kPixels, kWinograd, kDepthwise };
/// The fastest of them that may be used.
ConvolutionWay convolution_way(const Kernels& kernels, const Convolution& convolution, const Layout& output);
/// "sparse lanes", "dense lanes", "dense pixels", "winograd", "depthwise".
const char* name(ConvolutionWay way);
/// The share of entries that are kept.
double density(const Constant& weight);
/// Cycles of one core, roughly.
double convolution_cycles(const Kernels& kernels, const Convolution& convolution, const Layout& output);

/// A tile cut into strips whose vectors stay in registers: some rows of one slice, or rows of several slices that lie
/// behind each other.
struct Strips {
  std::vector<Range> slices, rows, columns;

  Size count() const { return static_cast<Size>(slices.size() * rows.size() * columns.size()); }
};

Strips strips_of(const Convolution& convolution, const Tiling& tiling, Size most);
/// Vectors of a channel that the windows of the largest strip see.
Size vectors_seen(const Windows& windows, const Strips& strips);

/// take(column, value) of a row's weights other than 0, of these columns. A weight of planes has none of its own.
template <class Take>
void for_each_weight(const Constant& weight, Size row, const Range& columns, Take&& take) {
  if (weight.form == Constant::Form::kSparse) {
    const auto begin = weight.column.begin() + weight.start[static_cast<std::size_t>(row)];
    const auto end = weight.column.begin() + weight.start[static_cast<std::size_t>(row) + 1];
    for (auto it = std::lower_bound(begin, end, static_cast<std::uint32_t>(columns.begin));
         it != end && static_cast<Size>(*it) < columns.end; ++it)
      take(static_cast<Size>(*it), weight.values[static_cast<std::size_t>(it - weight.column.begin())]);
    return;
  }
  for (Size column = columns.begin; column < columns.end; ++column) {
    const float value = weight.values[static_cast<std::size_t>(row * weight.columns + column)];
    if (value != 0.0f) take(column, value);
  }
}

/// Where outputs may be cut: not between those of a group that kernels work on together.
struct OutputCuts {
  Size outputs, groups, together;

  /// The first output of a part; of part `parts` the end. Parts may be empty.
  Size begin_of(Size part, Size parts) const;
};

/// `input` lies so that each lane finds what its windows see in its own tile and halo: output.tiling has the same
/// lanes, and its height is the input's divided by stride_y where tiles_y > 1 (as for x and z).
std::unique_ptr<Step> make_convolution(const Kernels& kernels, const Convolution& convolution, int input,
                                       const Layout& input_layout, int output, const Layout& output_layout,
                                       const Ending& ending, int threads);

}  // namespace netsurgery
