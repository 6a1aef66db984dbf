// How the work of a convolution is cut for threads, and what lies around its tiles filled.
#include "lanes/convolution.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "isa/instructions.hpp"
#include "lanes/layout.hpp"
#include "lanes/movement.hpp"

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

/// Vectors of a layout, aligned, with numbers everywhere.
class Lanes {
 public:
  explicit Lanes(const Layout& layout)
      : floats_(layout.floats()),
        at_(static_cast<float*>(::operator new(static_cast<std::size_t>(floats_) * sizeof(float), kAligned))) {
    for (Size i = 0; i < floats_; ++i) at_.get()[i] = static_cast<float>(i * 37 % 1009) / 64 - 7;
  }
  float* at() const { return at_.get(); }
  bool operator==(const Lanes& other) const {
    return std::memcmp(at(), other.at(), static_cast<std::size_t>(floats_) * sizeof(float)) == 0;
  }

 private:
  static constexpr std::align_val_t kAligned{64};
  struct Free {
    void operator()(float* floats) const { ::operator delete(floats, kAligned); }
  };
  Size floats_;
  std::unique_ptr<float, Free> at_;
};

struct Picture {
  Size images, channels, size;
  Tiling tiling;
  Size around;  // pixels that a window sees on each side
};

const Picture kPictures[] = {
    {1, 24, 16, {1, 1, 4, 4, 1, 4, 4}, 1},  // tiles end where the picture does
    {1, 24, 14, {1, 1, 4, 4, 1, 4, 4}, 1},  // some reach beyond it
    {1, 9, 7, {1, 1, 4, 4, 1, 2, 2}, 2},    // all that is around a tile is as wide as it is
    {3, 17, 6, {4, 1, 2, 2, 1, 3, 3}, 1},   // four pictures to a vector, of which one is missing
    {33, 5, 5, {16, 1, 1, 1, 1, 5, 5}, 2},  // groups
};

Layout layout_of(const Picture& picture) {
  const Size a = picture.around;
  return {{picture.images, picture.channels, 1, picture.size, picture.size}, picture.tiling, {0, 0, a, a, a, a}};
}

void run(const Step& step, std::vector<float*> buffers) {
  const Size at_once = step.pieces_at_once();
  for (Size first = 0; first < step.pieces(); first += at_once)
    for (Size piece = first + at_once; piece-- > first;) step.run(buffers.data(), piece, piece + 1, nullptr);
}

void halos_are_the_same_for_any_number_of_threads() {
  for (const Instructions set : available_instructions())
    for (const Picture& picture : kPictures) {
      const Kernels& kernels = kernels_for(set);
      const Layout layout = layout_of(picture);
      const Lanes alone(layout), by_channels(layout);
      run(*make_halo(kernels, 0, layout, layout.halo, 0.5f, true, 1), {alone.at()});
      const auto around = make_surroundings(kernels, 0, layout, layout.halo, 0.5f, true);
      float* const buffer = by_channels.at();
      for (Size group = 0; group < layout.groups(); ++group)
        for (Size channel = 0; channel < picture.channels; channel += 5)
          around->fill(&buffer, group, channel, std::min<Size>(5, picture.channels - channel));
      CHECK(by_channels == alone);
      for (const int threads : {2, 4, 64}) {
        const Lanes shared(layout);
        run(*make_halo(kernels, 0, layout, layout.halo, 0.5f, true, threads), {shared.at()});
        CHECK(shared == alone);
      }
    }
}

void maps_that_fill_their_halo_are_as_if_it_had_been_filled() {
  for (const Instructions set : available_instructions())
    for (const Picture& picture : kPictures)
      for (const Size times : {1, 2})  // outputs of a channel
        for (const int threads : {1, 2, 3}) {
          const Kernels& kernels = kernels_for(set);
          const Layout input = layout_of(picture);
          const Size side = 2 * picture.around + 1;
          Constant weight;
          weight.shape = {times * picture.channels, 1, side, side};
          weight.rows = weight.shape[0];
          weight.columns = side * side;
          for (Size i = 0; i < weight.entries(); ++i) weight.values.push_back(static_cast<float>(i % 13) - 6);
          weight.kept = weight.entries();
          Convolution convolution;
          convolution.kernel_y = convolution.kernel_x = side;
          convolution.pad_above = convolution.pad_below = convolution.pad_left = convolution.pad_right = picture.around;
          convolution.weight = &weight;
          convolution.groups = picture.channels;
          Layout output = input;
          output.image.channels = weight.rows;
          output.halo = {};
          if (!fills_surroundings(kernels, convolution, output)) continue;
          const Lanes x(input), same(input), expected(output), found(output);
          run(*make_halo(kernels, 0, input, input.halo, 0.0f, true, 1), {x.at()});
          run(*make_convolution(kernels, convolution, 0, input, 1, output, {}, threads), {x.at(), expected.at()});
          const auto step = make_convolution_by_maps(kernels, convolution,
                                                     make_surroundings(kernels, 0, input, input.halo, 0.0f, true), 0,
                                                     input, 1, output, {}, threads);
          CHECK(step->pieces() >= std::min<Size>(threads, output.groups() * picture.channels));
          run(*step, {same.at(), found.at()});
          CHECK(found == expected);
          CHECK(same == x);
        }
}

}  // namespace

int main() {
  every_thread_has_a_piece();
  halos_are_the_same_for_any_number_of_threads();
  maps_that_fill_their_halo_are_as_if_it_had_been_filled();
  return 0;
}
