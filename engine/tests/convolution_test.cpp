// How the work of a convolution is cut for threads.
#include "lanes/convolution.hpp"

#include <numeric>
#include <vector>

#include "check.hpp"
#include "isa/instructions.hpp"
#include "lanes/layout.hpp"

using namespace netsurgery;

namespace {

/// A kernel of 3 x 3 with so many inputs and outputs in each group, all weights there, or one in ten.
Constant weight_of(Size outputs, Size inputs, bool sparse) {
  Constant weight;
  weight.shape = {outputs, inputs, 3, 3};
  weight.rows = outputs;
  weight.columns = inputs * 9;
  weight.values.assign(static_cast<std::size_t>(weight.entries()), 0.0f);
  for (std::size_t i = 0; i < weight.values.size(); ++i)
    if (!sparse || i % 10 == 0) weight.values[i] = 1.0f;
  weight.kept = static_cast<Size>(std::accumulate(weight.values.begin(), weight.values.end(), 0.0f));
  return weight;
}

/// Pieces of a convolution of 16 x 16 pixels, padded so that as many come out: of few strips, so that outputs have to
/// be cut, too.
Size pieces_of(Size channels, Size groups, Size outputs, bool sparse, int threads) {
  const Constant weight = weight_of(outputs, channels / groups, sparse);
  Convolution convolution;
  convolution.kernel_y = convolution.kernel_x = 3;
  convolution.pad_above = convolution.pad_below = convolution.pad_left = convolution.pad_right = 1;
  convolution.weight = &weight;
  convolution.groups = groups;
  const Tiling tiling{1, 1, 4, 4, 1, 4, 4};
  const Layout input{{1, channels, 1, 16, 16}, tiling, {0, 0, 1, 1, 1, 1}};
  const Layout output{{1, outputs, 1, 16, 16}, tiling, {}};
  return make_convolution(kernels_for(available_instructions().front()), convolution, 0, input, 1, output, {}, threads)
      ->pieces();
}

void every_thread_has_a_piece() {
  for (const bool sparse : {false, true})
    for (const int threads : {1, 2, 3, 4}) {
      CHECK(pieces_of(1, 1, 32, sparse, threads) >= threads);  // a grey picture
      CHECK(pieces_of(3, 1, 64, sparse, threads) >= threads);
      CHECK(pieces_of(64, 1, 64, sparse, threads) >= threads);
      CHECK(pieces_of(64, 64, 64, sparse, threads) >= threads);  // depthwise
      CHECK(pieces_of(64, 8, 64, sparse, threads) >= threads);
    }
}

}  // namespace

int main() {
  every_thread_has_a_piece();
  return 0;
}
