// Windows over channels that lie in vectors of lanes.
#pragma once

#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"
#include "lanes/ranges.hpp"
#include "lanes/windows.hpp"

namespace netsurgery {

struct Pool : Windows {
  bool average = false;
  bool counts_padding = false;  // averages only
};

/// Layouts as for make_convolution; the halo holds -infinity for maxima, 0 for averages.
std::unique_ptr<Step> make_pool(const Kernels& kernels, const Pool& pool, int input, const Layout& input_layout,
                                int output, const Layout& output_layout);

/// Averages of all pixels of channels.
class Averages {
 public:
  static constexpr Size kChannels = 16;  // at most, at once

  Averages(const Kernels& kernels, const Layout& layout);
  /// Of some channels of a group, to NumPy's order. Pixels outside of the picture may hold anything, NaN too, and are
  /// left out.
  void put(const float* input, Size group, const Range& channels, float* plain) const;

 private:
  struct alignas(kAlignment) Lanes {
    std::uint32_t of[kVector];
  };

  const Kernels& kernels_;
  Layout layout_;
  std::vector<Lanes> inside_;  // of each pixel of a tile; none: all lanes are
};

/// The mean of each channel, (N, C) in NumPy's order.
std::unique_ptr<Step> make_global_average(const Kernels& kernels, int input, const Layout& layout, int plain);

}  // namespace netsurgery
