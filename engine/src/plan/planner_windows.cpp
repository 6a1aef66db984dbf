// Windows: how their input lies, and pools.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "lanes/fixed_movement.hpp"
#include "lanes/fixed_point.hpp"
#include "lanes/movement.hpp"
#include "plain/positions.hpp"
#include "plan/planner.hpp"

namespace netsurgery {
namespace {

constexpr double kStretched = 0.01;  // of the cost, for each doubling of one side of a tile beside the other
constexpr double kCyclesPerPlainTap = 6.0;
constexpr double kPixelsPerCycle = 5.0;  // of averages
constexpr double kCyclesPerRepeated = 2.0;
// Two threads find a row of tiles each, or they read what the other one has written. Choices mind that for any number
// of threads, one too: tiles decide in which order sums are taken, and results are the same for any number of threads.
constexpr Size kSharers = 2;
constexpr double kExchanged = 1.0;  // of the cost
constexpr int kMostPassed = 8;      // convolutions, to the next that has strides

/// How tiles of the output follow from tiles of the input along one axis; 0 if windows of a lane leave its tile's grid.
Size output_tile(Size tiles, Size tile, Size stride, Size size, Size output_size) {
  if (tiles == 1) return tile >= size ? output_size : 0;
  return tile % stride == 0 && tiles * (tile / stride) >= output_size ? tile / stride : 0;
}

}  // namespace

Planner::Choice Planner::choose(const Node& node, const Windows& windows, int input, const Image& input_image,
                                const Image& output_image, Size images, const Tiling* wanted,
                                const std::function<double(const Layout&)>& cycles, bool fixed) {
  if (!fixed) images = std::min(images, kVector);
  Choice best;
  best.cycles = std::numeric_limits<double>::infinity();
  const std::vector<Place>& places = fixed ? value(input).fixed : value(input).places;
  // What lies in no lanes yet is put where it can stay for long. What does goes on there until it can't: to move it
  // earlier is to choose again at each layer on the way.
  const Ahead ahead = ahead_of(node, places.empty() ? kMostPassed : 0);
  const Windows& next = ahead.windows;
  Halo around;  // what the next windows see beyond a tile: of volumes that is much, and more of one choice than of
                // others
  around.front = around.back = next.kernel_z / 2;
  around.above = around.below = next.kernel_y / 2;
  around.left = around.right = next.kernel_x / 2;
  const auto consider = [&](int place, const Tiling& from, const Tiling& to, double more) {
    Choice choice{place, from, to, windows.around(from, to), 0};
    const Layout output{output_image, to, {}};
    choice.cycles = more + cycles(output);
    if (around.any()) choice.cycles += halo_cycles(output, around);
    const bool moves_again = (wanted && *wanted != to) || (to.tiles_z > 1 && to.depth % next.stride_z != 0) ||
                             (to.tiles_y > 1 && to.height % next.stride_y != 0) ||
                             (to.tiles_x > 1 && to.width % next.stride_x != 0);
    if (moves_again)  // to other tiles, where the least lies; or to NumPy's order, rather than after the next step
      choice.cycles += ahead.needs_lanes ? ahead.narrowest * (scatter_cycles(output) + gather_cycles(output))
                                         : scatter_cycles(output) / 2;
    if (to.depth / next.stride_z * (to.height / next.stride_y) * output.groups() < kSharers)
      choice.cycles += kExchanged * cycles(output);
    if (choice.cycles < best.cycles) best = choice;
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Layout given = layout(places[i].layout);
    Tiling to = given.tiling;
    to.depth = output_tile(to.tiles_z, given.tiling.depth, windows.stride_z, input_image.depth, output_image.depth);
    to.height = output_tile(to.tiles_y, given.tiling.height, windows.stride_y, input_image.height, output_image.height);
    to.width = output_tile(to.tiles_x, given.tiling.width, windows.stride_x, input_image.width, output_image.width);
    if (to.depth == 0 || to.height == 0 || to.width == 0 || !given.tiling.covers(input_image)) continue;
    consider(static_cast<int>(i), given.tiling, to, halo_cycles(given, windows.around(given.tiling, to)));
  }
  const auto gathered = fixed ? fixed_gather_cycles : gather_cycles;
  const auto moved = fixed ? fixed_move_cycles : move_cycles;
  const auto scatter_cycles_of = fixed ? fixed_scatter_cycles : scatter_cycles;
  const Size lanes = (fixed ? kShorts : kVector) / images;
  const bool moves = fixed ? !places.empty() : moves_to(input, images);
  const double scattered =
      moves || value(input).plain >= 0 || places.empty() ? 0 : scatter_cycles_of(layout(places.front().layout));
  const auto tiled = [&](Size tiles_z, Size tiles_y, Size tiles_x) {
    Tiling to{images, tiles_z, tiles_y, tiles_x, 1, 1, 1};
    to.depth = ceil_divided(output_image.depth, tiles_z);
    to.height = ceil_divided(output_image.height, tiles_y);
    to.width = ceil_divided(output_image.width, tiles_x);
    Tiling from = to;
    from.depth = to.tiles_z == 1 ? input_image.depth : to.depth * windows.stride_z;
    from.height = to.tiles_y == 1 ? input_image.height : to.height * windows.stride_y;
    from.width = to.tiles_x == 1 ? input_image.width : to.width * windows.stride_x;
    const Layout made{input_image, from, windows.around(from, to)};
    // Square tiles can be halved most often, and have the smallest halo: they are worth a little.
    const double stretched = std::abs(std::log2(static_cast<double>(to.tiles_y) / static_cast<double>(to.tiles_x)));
    consider(-1, from, to,
             scattered + (moves ? moved(made) : gathered(made)) +
                 kStretched * stretched * cycles(Layout{output_image, to, {}}));
  };
  for (Size tiles_z = 1; tiles_z <= std::min(lanes, input_image.depth); tiles_z *= 2)
    for (Size tiles_y = 1; tiles_y <= lanes / tiles_z; tiles_y *= 2) tiled(tiles_z, tiles_y, lanes / tiles_z / tiles_y);
  return best;
}

Planner::Place Planner::placed(const Choice& choice, int input, const Image& image, float outside) {
  if (choice.place < 0) return gathered(input, image, choice.input, choice.halo, outside);
  const Place place = value(input).places[static_cast<std::size_t>(choice.place)];
  grow(place.layout, choice.halo);
  return place;
}

bool Planner::lacks_halo(const Choice& choice, const Place& place, bool sees_outside) {
  return choice.place >= 0 && needs_halo(layout(place.layout), choice.halo, sees_outside);
}

Planner::Place Planner::ready(const Node& node, const Choice& choice, int input, const Image& image, float outside,
                              bool sees_outside) {
  const Place place = placed(choice, input, image, outside);
  if (lacks_halo(choice, place, sees_outside))
    draft(&node, "halo", {place.buffer}, {place.buffer}, halo_cycles(layout(place.layout), choice.halo), [=] {
      return make_halo(kernels_, place.buffer, layout(place.layout), choice.halo, outside, sees_outside,
                       options_.threads);
    });
  return place;
}

/// The windows that follow, and what goes on between: of volumes also their kernels, how far windows reach that share
/// pixels. Convolutions without strides that are read alone are passed, up to the next that have some.
Planner::Ahead Planner::ahead_of(const Node& node, int convolutions) const {
  Ahead ahead;
  const Size entries = product(shape(node.output));
  Size fewest = entries;
  const Node* passed = &node;
  for (int seen = 0; passed && seen <= convolutions; ++seen) {
    int output = passed->output;
    const auto goes_on = [&]() -> const Node* {
      if (const Node* product = times_own_sigmoid(output)) return product;
      const Node* reader = only_reader(output);
      const bool stays =
          reader && (reader->op == Operator::kAdd || reader->op == Operator::kDepthToSpace || puts_on_grid(reader->op));
      return stays || (reader && is_entrywise(reader->op)) ? reader : nullptr;
    };
    while (const Node* reader = goes_on()) output = reader->output;
    fewest = std::min(fewest, product(shape(output)));
    see_readers(output, seen == 0, ahead);
    const Node* reader = only_reader(output);
    const Windows& next = ahead.windows;
    const bool strides = next.stride_z > 1 || next.stride_y > 1 || next.stride_x > 1;
    passed = reader && reader->op == Operator::kConv && !strides ? reader : nullptr;
  }
  ahead.narrowest = static_cast<double>(fewest) / static_cast<double>(std::max<Size>(entries, 1));
  return ahead;
}

/// Strides of the windows that read a value, multiplied: lanes survive those that divide their tiles.
void Planner::see_readers(int output, bool first, Ahead& ahead) const {
  constexpr Size kBeyondTiles = Size{1} << 31;  // divides no tile, like every larger multiple; those would overflow
  Windows& next = ahead.windows;
  for (const Node* reader : readers_[static_cast<std::size_t>(output)]) {
    if (reader->op != Operator::kConv && reader->op != Operator::kMaxPool && reader->op != Operator::kAveragePool)
      continue;
    const std::vector<Size> strides =
        reader->attributes.filled(AttributeName::kStrides, std::max<std::size_t>(shape(output).size(), 3) - 2, 1);
    const auto multiply = [&](Size& stride, std::size_t from_last) {
      if (strides.size() > from_last)
        stride = std::min(std::lcm(stride, strides[strides.size() - 1 - from_last]), kBeyondTiles);
    };
    multiply(next.stride_x, 0);
    multiply(next.stride_y, 1);
    multiply(next.stride_z, 2);
    if (!first) continue;
    if (strides.size() == 3) {
      const Size* const kernel = reader->op == Operator::kConv
                                     ? graph_.constant(reader->inputs[1]).shape.data() + 2
                                     : reader->attributes.integers(AttributeName::kKernel).data();
      const Windows seen = Windows::of(reader->attributes, kernel, 3);
      const auto reach = [](Size& largest, Size one, Size stride, Size size) {
        if (one > stride) largest = std::min(std::max(largest, one), 2 * size);
      };
      const Image image = Image::of(shape(output));
      reach(next.kernel_z, seen.reach_z(), seen.stride_z, image.depth);
      reach(next.kernel_y, seen.reach_y(), seen.stride_y, image.height);
      reach(next.kernel_x, seen.reach_x(), seen.stride_x, image.width);
    }
    ahead.needs_lanes = ahead.needs_lanes || reader->op == Operator::kConv || !goes_plain(reader->output);
  }
}

/// True if tiles and halos reach so far beyond the picture that its memory is no measure for theirs: strides and
/// dilations of thousands do that.
bool Planner::is_wasteful(const Layout& layout, const Image& input, const Image& output) {
  constexpr double kMost = 512, kAlways = 1 << 20;
  const auto pixels = [](const Image& image) {
    return static_cast<double>(image.count) * static_cast<double>(image.channels) * static_cast<double>(image.pixels());
  };
  const double floats = static_cast<double>(layout.groups()) * static_cast<double>(layout.slices()) *
                        static_cast<double>(layout.rows()) * static_cast<double>(layout.columns()) *
                        static_cast<double>(layout.image.channels) * kVector;
  return floats > kMost * (pixels(input) + pixels(output)) + kAlways;
}

/// What the convolutions that read a pool's output will cost, if they keep its lanes.
double Planner::following_cycles(const Node& node, const Layout& output) const {
  double cycles = 0;
  for (const Node* reader : readers_[static_cast<std::size_t>(node.output)]) {
    if (reader->op != Operator::kConv) continue;
    const std::vector<Size> strides =
        reader->attributes.filled(AttributeName::kStrides, shape(node.output).size() - 2, 1);
    if (std::any_of(strides.begin(), strides.end(), [](Size stride) { return stride != 1; })) continue;
    Convolution convolution;
    convolution.weight = &graph_.constant(reader->inputs[1]);
    cycles += convolution_cycles(kernels_, convolution, output);
  }
  return cycles;
}

/// True if a value isn't wanted in vectors.
bool Planner::goes_plain(int value) const {
  const std::vector<const Node*>& readers = readers_[static_cast<std::size_t>(value)];
  return options_.images < kFewestForLanes &&
         (is_output(value) ||
          std::all_of(
              readers.begin(), readers.end(), [](const Node* reader) { return reader->op == Operator::kReshape; }));
}

bool Planner::pool(const Node& node) {
  const Shape& x = shape(node.inputs[0]);
  if (!Image::holds(x) || x.size() < 3 || graph_.type(node.inputs[0]) != ValueType::kFloat32) return false;
  if (graph_.is_constant(node.inputs[0])) return false;
  const Image input = Image::of(x), output = Image::of(shape(node.output));
  const Size* const kernel = node.attributes.integers(AttributeName::kKernel).data();
  Pool pool{Windows::of(node.attributes, kernel, x.size() - 2)};
  pool.average = node.op == Operator::kAveragePool;
  pool.counts_padding = pool.average && node.attributes.flag(AttributeName::kCountIncludePad);
  const double taps = static_cast<double>(pool.taps());
  const Choice choice =
      choose(node, pool, node.inputs[0], input, output, options_.images, nullptr,
             [&](const Layout& layout) { return taps * 2.0 * static_cast<double>(layout.floats()) / kVector; });
  if (std::isinf(choice.cycles) || is_wasteful({input, choice.input, choice.halo}, input, output)) return false;
  // Where nobody wants its output in vectors, a pool of few pixels is cheaper in NumPy's order.
  if (goes_plain(node.output)) {
    const double lanes = choice.cycles + scatter_cycles(Layout{output, choice.output, {}});
    const std::vector<Place>& places = value(node.inputs[0]).places;
    const double plain = (places.empty() ? 0 : scatter_cycles(layout(places.front().layout))) +
                         kCyclesPerPlainTap * taps * static_cast<double>(product(shape(node.output)));
    if (plain < lanes) return false;
  }
  const float outside = pool.average ? 0.0f : -std::numeric_limits<float>::infinity();
  const Place from = ready(node, choice, node.inputs[0], input, outside, true);
  const Place to = new_place(output, choice.output);
  value(node.output).places.push_back(to);
  draft(&node, "pool", {from.buffer}, {to.buffer}, choice.cycles,
        [=] { return make_pool(kernels_, pool, from.buffer, layout(from.layout), to.buffer, layout(to.layout)); });
  return true;
}

bool Planner::thins(const Node& node, Windows& strides, Size& before) const {
  const std::size_t axes = shape(node.output).size();
  if (axes < 3 || axes > 5) return false;
  if (node.op == Operator::kSlice) {
    const Size axis = node.attributes.integer(AttributeName::kAxis),
               step = node.attributes.integer(AttributeName::kStep);
    if (axis < 2 || step < 2 || node.attributes.integer(AttributeName::kStart) != 0) return false;
    Size* const of_axis[] = {&strides.stride_x, &strides.stride_y, &strides.stride_z};
    Size& stride = *of_axis[axes - 1 - static_cast<std::size_t>(axis)];
    if (stride != 1) return false;
    stride = step;
    return true;
  }
  if (node.op != Operator::kPad || node.attributes.choice<PadMode>(AttributeName::kMode) != PadMode::kConstant ||
      node.attributes.number(AttributeName::kValue) != 0.0f)
    return false;
  std::vector<Size> pads = node.attributes.integers(AttributeName::kPads);
  before = pads[1];
  if (before < 0 || pads[axes + 1] < 0) return false;
  pads[1] = pads[axes + 1] = 0;
  return std::all_of(pads.begin(), pads.end(), [](Size size) { return size == 0; });
}

bool Planner::thinned(const Node& node) {
  const int input = node.inputs[0];
  if (graph_.is_constant(input) || graph_.type(input) != ValueType::kFloat32) return false;
  const bool fixed = !value(input).fixed.empty();
  if (!fixed && value(input).places.empty()) return false;
  Windows strides;
  Size before = 0;
  std::vector<const Node*> chain;
  for (const Node* next = &node; next && thins(*next, strides, before); next = only_reader(next->output)) {
    chain.push_back(next);
    if (next->op == Operator::kPad) break;
  }
  if (chain.empty()) return false;
  const Node& last = *chain.back();
  const Image seen = Image::of(shape(input)), made = Image::of(shape(last.output));
  const auto cycles = [](const Layout& layout) { return entries_cycles(layout, kCyclesPerRepeated); };
  const Choice choice = choose(last, strides, input, seen, made, options_.images, nullptr, cycles, fixed);
  const Layout estimated{seen, choice.input, choice.halo};
  if (std::isinf(choice.cycles) || is_wasteful(estimated, seen, made) || (fixed && !is_small(estimated))) return false;
  for (const Node* one : chain) {
    if (one != &node) done(*one);
    grids_[static_cast<std::size_t>(one->output)] = grid_of(*one);
  }
  const Place from = fixed ? fixed_placed(choice, input, seen, 0) : placed(choice, input, seen, 0.0f);
  const Place to = new_place(made, choice.output);
  (fixed ? value(last.output).fixed : value(last.output).places).push_back(to);
  draft(&node, fixed ? "fixed thinning" : "thinning", {from.buffer}, {to.buffer}, cycles(layout(to.layout)), [=] {
    return make_thinned(strides, before, {from.buffer, layout(from.layout)}, {to.buffer, layout(to.layout)});
  });
  return true;
}

bool Planner::repeated(const Node& node) {
  const int input = node.inputs[0];
  if (graph_.is_constant(input) || value(input).places.empty()) return false;
  const Shape &x = shape(input), &y = shape(node.output);
  for (std::size_t axis = 2; axis < x.size(); ++axis) {
    if (y[axis] % x[axis] != 0) return false;
    const Size times = y[axis] / x[axis];
    for (Size i = 0; i < y[axis]; ++i)
      if (plain::nearest_place(node.attributes, axis - 2, i, x[axis], y[axis]) != i / times) return false;
  }
  const Place from = value(input).places.front();
  const Image seen = Image::of(x), made = Image::of(y);
  Tiling tiling = layout(from.layout).tiling;
  if (!tiling.covers(seen)) return false;
  tiling.depth *= made.depth / seen.depth;
  tiling.height *= made.height / seen.height;
  tiling.width *= made.width / seen.width;
  const Place to = new_place(made, tiling);
  value(node.output).places.push_back(to);
  draft(&node, "repeat", {from.buffer}, {to.buffer}, entries_cycles(layout(to.layout), kCyclesPerRepeated),
        [=] { return make_repeat({from.buffer, layout(from.layout)}, {to.buffer, layout(to.layout)}); });
  return true;
}

bool Planner::averages_pictures(const Node& node) const {
  if (node.op != Operator::kMean && node.op != Operator::kAdaptiveAveragePool) return false;
  const Shape& x = shape(node.inputs[0]);
  if (!Image::holds(x) || x.size() < 3) return false;
  if (node.op == Operator::kMean) {
    std::vector<Size> axes = node.attributes.integers(AttributeName::kAxes);
    std::sort(axes.begin(), axes.end());
    if (axes.size() != x.size() - 2) return false;
    for (std::size_t i = 0; i < axes.size(); ++i)
      if (axes[i] != static_cast<Size>(i) + 2) return false;
  } else {
    for (const Size size : node.attributes.integers(AttributeName::kSize))
      if (size != 1) return false;
  }
  return true;
}

bool Planner::global_average(const Node& node) {
  if (!averages_pictures(node) || value(node.inputs[0]).places.empty()) return false;
  const Shape& x = shape(node.inputs[0]);
  const Place from = value(node.inputs[0]).places.front();
  const int to = arena(product(shape(node.output)));
  value(node.output).plain = to;
  draft(&node, "average", {from.buffer}, {to}, static_cast<double>(product(x)) / kPixelsPerCycle,
        [=] { return make_global_average(kernels_, from.buffer, layout(from.layout), to); });
  return true;
}

}  // namespace netsurgery
