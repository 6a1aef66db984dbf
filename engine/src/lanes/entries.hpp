// Functions of entries, and of pairs of them, in vectors of lanes: of the pixels of tiles, not of the halo around them.
#pragma once

#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"
#include "lanes/scaling.hpp"

namespace netsurgery {

/// A value in a buffer. Layouts of one step differ in their halos, and in what lies beside them, at most.
struct Lying {
  int buffer;
  Layout layout;
};

std::unique_ptr<Step> make_function(const Kernels& kernels, const AppliedFunction& activation, const Lying& input,
                                    const Lying& output);

/// The same entries at another place.
std::unique_ptr<Step> make_entry_copy(const Lying& input, const Lying& output);

/// Each vector as often as tiles of the output are higher and wider.
std::unique_ptr<Step> make_repeat(const Lying& input, const Lying& output);

/// The first of so many pixels in each direction, and zeros in the place of channels around those that there are.
/// before: channels of zeros in front. Of floats or whole numbers, whose zeros are alike.
std::unique_ptr<Step> make_thinned(const Windows& strides, Size before, const Lying& input, const Lying& output);

std::unique_ptr<Step> make_pair(const Kernels& kernels, Pair pair, const Lying& a, const Lying& b, const Lying& output);

/// first: the value is the pair's first operand.
std::unique_ptr<Step> make_channel_pair(const Kernels& kernels, Pair pair, const Lying& input,
                                        const ChannelNumbers& numbers, bool first, const Lying& output);

std::unique_ptr<Step> make_scaled(const Kernels& kernels, const Scaling& scaling, const Lying& input,
                                  const Lying& output);

/// How channels are rounded to a grid: see QuantizedChannels.
struct ChannelRounding {
  std::vector<float> scale, shift;
  float per_step, step, low, high;
};
std::unique_ptr<Step> make_quantized(const Kernels& kernels, const ChannelRounding& rounding, const Lying& input,
                                     const Lying& output);

/// Cycles of one core, roughly.
double entries_cycles(const Layout& layout, double of_each);

}  // namespace netsurgery
