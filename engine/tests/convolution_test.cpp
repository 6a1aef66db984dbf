// How the work of a convolution is cut for threads, what lies around its tiles, and depthwise convolutions.
#include "lanes/convolution.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "isa/instructions.hpp"
#include "lanes/aligned.hpp"
#include "lanes/depthwise_convolution.hpp"
#include "lanes/layout.hpp"
#include "lanes/movement.hpp"
#include "lanes/pooling.hpp"
#include "lanes/turned_depthwise.hpp"

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

/// Vectors of a layout, with numbers everywhere.
class Lanes {
 public:
  explicit Lanes(const Layout& layout) : floats_(static_cast<std::size_t>(layout.floats())) {
    for (std::size_t i = 0; i < floats_.size(); ++i) floats_[i] = static_cast<float>(i * 37 % 1009) / 64 - 7;
  }
  float* at() { return floats_.data(); }
  bool operator==(const Lanes& other) const { return floats_ == other.floats_; }
  /// Of the pixels of all images; what lies outside may differ.
  bool has_pixels_of(const Lanes& other, const Layout& layout) const {
    bool same = true;
    for (Size image = 0; image < layout.image.count; ++image)
      for (Size channel = 0; channel < layout.image.channels; ++channel)
        for (Size y = 0; y < layout.image.height; ++y)
          for (Size x = 0; x < layout.image.width; ++x) {
            const Size vector =
                layout.at(image / layout.tiling.images, 0, y % layout.tiling.height, channel, x % layout.tiling.width);
            const auto at = static_cast<std::size_t>(vector + layout.lane_of(image % layout.tiling.images, 0, y, x));
            same = same && floats_[at] == other.floats_[at];
          }
    return same;
  }

 private:
  AlignedFloats floats_;
};

struct Picture {
  Size images, channels, size;
  Tiling tiling;
  Size around;  // pixels that a window sees on each side
};

const Picture kPictures[] = {
    {1, 24, 16, {1, 1, 4, 4, 1, 4, 4}, 1},   // tiles end where the picture does
    {1, 24, 14, {1, 1, 4, 4, 1, 4, 4}, 1},   // some reach beyond it
    {1, 9, 7, {1, 1, 4, 4, 1, 2, 2}, 2},     // all that is around a tile is as wide as it is
    {3, 17, 6, {4, 1, 2, 2, 1, 3, 3}, 1},    // four pictures to a vector, of which one is missing
    {33, 5, 5, {16, 1, 1, 1, 1, 5, 5}, 2},   // groups
    {1, 9, 80, {1, 1, 4, 4, 1, 20, 20}, 1},  // large, rows of more windows than are summed together
    {1, 9, 25, {1, 1, 2, 8, 1, 13, 4}, 3},
};

Layout layout_of(const Picture& picture) {
  const Size a = picture.around;
  return {{picture.images, picture.channels, 1, picture.size, picture.size}, picture.tiling, {0, 0, a, a, a, a}};
}

void run(const Step& step, std::vector<float*> buffers) {
  AlignedFloats scratch(static_cast<std::size_t>(step.scratch()), std::numeric_limits<float>::quiet_NaN());
  const Size at_once = step.pieces_at_once();
  for (Size first = 0; first < step.pieces(); first += at_once)
    for (Size piece = first + at_once; piece-- > first;) step.run(buffers.data(), piece, piece + 1, scratch.data());
}

void halos_are_the_same_for_any_number_of_threads() {
  for (const Instructions set : available_instructions())
    for (const Picture& picture : kPictures) {
      const Kernels& kernels = kernels_for(set);
      const Layout layout = layout_of(picture);
      Lanes alone(layout);
      run(*make_halo(kernels, 0, layout, layout.halo, 0.5f, true, 1), {alone.at()});
      for (const int threads : {2, 4, 64}) {
        Lanes shared(layout);
        run(*make_halo(kernels, 0, layout, layout.halo, 0.5f, true, threads), {shared.at()});
        CHECK(shared == alone);
      }
    }
}

/// What a depthwise convolution of a picture makes, its channels' averages behind; none where tiles can't be cut so.
struct Depthwise {
  Constant weight;
  Convolution convolution;
  Layout input, output, averages;
  bool exists = true;

  Depthwise(const Picture& picture, Size times, Size stride) : input(layout_of(picture)), output(input) {
    const Size side = 2 * picture.around + 1;
    weight.shape = {times * picture.channels, 1, side, side};
    weight.rows = weight.shape[0];
    weight.columns = side * side;
    // So few of them that they are computed one by one, too; whole numbers, whose sums are exact in any order.
    for (Size i = 0; i < weight.entries(); ++i) weight.values.push_back(i % 3 ? 0.0f : static_cast<float>(i % 13) - 6);
    weight.kept = weight.entries() - std::count(weight.values.begin(), weight.values.end(), 0.0f);
    convolution.kernel_y = convolution.kernel_x = side;
    convolution.stride_y = convolution.stride_x = stride;
    convolution.pad_above = convolution.pad_below = convolution.pad_left = convolution.pad_right = picture.around;
    convolution.weight = &weight;
    convolution.groups = picture.channels;
    output.image.channels = weight.rows;
    output.halo = {};
    for (Size* const size : {&output.image.height, &output.image.width}) *size = ceil_divided(*size, stride);
    const auto cut = [&](Size tiles, Size& size) {
      exists = exists && (tiles == 1 || size % stride == 0);
      size = ceil_divided(size, stride);
    };
    cut(output.tiling.tiles_y, output.tiling.height);
    cut(output.tiling.tiles_x, output.tiling.width);
    averages = Layout{{1, 1, 1, 1, ceil_divided(output.image.count * weight.rows, kVector)}, {}, {}};
    averages.tiling.width = averages.image.width;
  }
  Depthwise(const Depthwise&) = delete;
};

void depthwise_convolutions_are_those_of_a_filled_halo() {
  Ending plain, swish;
  swish.activation = AppliedFunction{Function::kHardSwish, {}};
  int turned = 0;
  for (const Instructions set : available_instructions())
    for (const Picture& picture : kPictures)
      for (const Size times : {1, 2})  // outputs of a channel
        for (const Size stride : {1, 2})
          for (const Ending& ending : {plain, swish})
            for (const int threads : {1, 2, 3}) {
              const Kernels& kernels = kernels_for(set);
              const Depthwise made(picture, times, stride);
              if (!made.exists) continue;
              CHECK(is_depthwise(made.convolution, made.output));
              CHECK(convolution_way(kernels, made.convolution, made.output) == ConvolutionWay::kSparse);
              Lanes x(made.input), expected(made.output), expected_averages(made.averages);
              const Halo seen = made.convolution.around(made.input.tiling, made.output.tiling);
              run(*make_halo(kernels, 0, made.input, seen, 0.0f, true, 1), {x.at()});
              run(*make_convolution(kernels, made.convolution, 0, made.input, 1, made.output, ending, threads),
                  {x.at(), expected.at()});
              run(*make_global_average(kernels, 0, made.output, 1), {expected.at(), expected_averages.at()});
              Ending all = ending;
              all.average = 2;
              for (const Dressing dressing : {Dressing::kCopied, Dressing::kFilled, Dressing::kThere}) {
                Lanes given(made.input), found(made.output), averages(made.averages);
                const Lanes before(made.input);
                if (dressing == Dressing::kThere) given = x;
                const auto step = make_depthwise_convolution(kernels, made.convolution, 0, made.input, 1, made.output,
                                                             all, dressing, threads);
                CHECK(step->pieces() >= std::min<Size>(threads, made.output.groups() * picture.channels));
                run(*step, {given.at(), found.at(), averages.at()});
                CHECK(found == expected);
                CHECK(averages == expected_averages);
                CHECK(given == (dressing == Dressing::kCopied ? before : x));
              }
              if (!can_be_turned(made.convolution, made.input, made.output)) continue;
              turned += 1;
              Lanes given(made.input), found(made.output), averages(made.averages);
              const Lanes before(made.input);
              run(*make_turned_depthwise(kernels, made.convolution, 0, made.input, 1, made.output, all),
                  {given.at(), found.at(), averages.at()});
              CHECK(found.has_pixels_of(expected, made.output));
              CHECK(averages == expected_averages);
              CHECK(given == before);
            }
  CHECK(turned > 0);
}

}  // namespace

int main() {
  every_thread_has_a_piece();
  halos_are_the_same_for_any_number_of_threads();
  depthwise_convolutions_are_those_of_a_filled_halo();
  return 0;
}
