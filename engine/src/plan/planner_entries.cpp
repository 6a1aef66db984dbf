// Operators that see no more than entries or channels: they run on vectors of lanes as they are.
#include <algorithm>

#include "lanes/entries.hpp"
#include "lanes/movement.hpp"
#include "lanes/normalisation.hpp"
#include "lanes/rearrangement.hpp"
#include "plain/kernel_function.hpp"
#include "plan/plain_step.hpp"
#include "plan/planner.hpp"

namespace netsurgery {

bool is_entrywise(Operator op) { return entry_of(op).work == Work::kEntrywise; }

namespace {

constexpr double kCyclesPerNormalised = 3.0;
constexpr double kCyclesPerStored = 4.0;  // of a vector, and the operands' loads

/// A place's memory as (rows, channels, columns * lanes): what works on channels, or on entries, sees nothing else.
Shape by_channels(const Layout& layout) {
  return {layout.groups() * layout.slices() * layout.rows(), layout.image.channels, layout.channel_floats()};
}

}  // namespace

void Planner::flat(const Node& node, std::vector<int> operands, Place output,
                   std::function<std::vector<Shape>()> shapes) {
  std::vector<int> reads;
  for (const int operand : operands)
    if (operand >= 0) reads.push_back(operand);
  draft(&node, "plain on lanes", reads, {output.buffer},
        kCyclesPerPlainEntry * static_cast<double>(layout(output.layout).floats()), [=, &node] {
          std::vector<Shape> given = shapes();
          const Shape made = given.back();
          given.pop_back();
          return make_plain_step(make_plain_kernel(graph_, node, given, made, kernels_), operands, output.buffer);
        });
}

bool Planner::unary(const Node& node) {
  if (!is_entrywise(node.op)) return false;
  if (value(node.inputs[0]).places.empty()) return false;
  const Place from = value(node.inputs[0]).places.front();
  const auto function = plain::kernel_function(node);
  if (function) {
    const Layout lies = layout(from.layout);
    const Place to = new_place(lies.image, lies.tiling);
    AppliedFunction activation = function->activation;
    int output = node.output;
    if (const Node* product = times_own_sigmoid(node.inputs[0])) {
      activation = AppliedFunction{Function::kSilu};
      output = product->output;
      done_[static_cast<std::size_t>(product - nodes_.data())] = true;
    }
    value(output).places.push_back(to);
    draft(&node, "function", {from.buffer}, {to.buffer},
          entries_cycles(lies, kCyclesPerStored + static_cast<double>(function->cost)), [=] {
            return make_function(kernels_, activation, {from.buffer, layout(from.layout)},
                                 {to.buffer, layout(to.layout)});
          });
    return true;
  }
  const Place to = beside(from);
  value(node.output).places.push_back(to);
  flat(node, {from.buffer}, to, [=] { return std::vector<Shape>(2, {layout(from.layout).floats()}); });
  return true;
}

bool Planner::normalisation(const Node& node) {
  if (value(node.inputs[0]).places.empty()) return false;
  const Place from = value(node.inputs[0]).places.front(), to = beside(from);
  value(node.output).places.push_back(to);
  if (node.attributes.number(AttributeName::kBeta) == 0.75f) {
    const Size size = node.attributes.integer(AttributeName::kSize);
    NormalisedRow row{};
    row.before = (size - 1) / 2;
    row.after = size / 2;
    row.share = node.attributes.number(AttributeName::kAlpha) / static_cast<float>(size);
    row.bias = node.attributes.number(AttributeName::kBias);
    const double entries = static_cast<double>(layout(from.layout).floats());
    draft(&node, "normalisation", {from.buffer}, {to.buffer}, entries * kCyclesPerNormalised,
          [=] { return make_normalisation(kernels_, row, from.buffer, to.buffer, layout(from.layout)); });
    return true;
  }
  flat(node, {from.buffer}, to, [=] { return std::vector<Shape>(2, by_channels(layout(from.layout))); });
  return true;
}

bool Planner::binary(const Node& node) {
  const int a = node.inputs[0], b = node.inputs[1];
  const bool a_lies = !graph_.is_constant(a) && !value(a).places.empty();
  const bool b_lies = !graph_.is_constant(b) && !value(b).places.empty();
  if (!a_lies && !b_lies) return false;
  const int main = a_lies ? a : b, other = a_lies ? b : a;
  if (shape(main) != shape(node.output)) return false;
  const Place from = value(main).places.front();
  const Tiling tiling = layout(from.layout).tiling;
  const auto pair = plain::kernel_pair(node.op);
  const auto order = [&](auto first, auto second) {
    return a_lies ? std::vector{first, second} : std::vector{second, first};
  };
  if (shape(other) == shape(main) && !graph_.is_constant(other)) {
    const int found = place_with(other, tiling);
    const Place with = found >= 0 ? value(other).places[static_cast<std::size_t>(found)]
                                  : gathered(other, Image::of(shape(other)), tiling, {}, 0.0f);
    if (pair) {
      const Layout lies = layout(from.layout);
      const Place to = new_place(lies.image, lies.tiling);
      value(node.output).places.push_back(to);
      const auto [first, second] = a_lies ? std::pair{from, with} : std::pair{with, from};
      draft(&node, "pairs", {from.buffer, with.buffer}, {to.buffer}, entries_cycles(lies, kCyclesPerStored),
            [this, to, pair, one = first, other_one = second] {
              return make_pair(kernels_, *pair, {one.buffer, layout(one.layout)},
                               {other_one.buffer, layout(other_one.layout)}, {to.buffer, layout(to.layout)});
            });
      return true;
    }
    join(from.layout, with.layout);
    const Place to = beside(from);
    value(node.output).places.push_back(to);
    flat(node, order(from.buffer, with.buffer), to,
         [=] { return std::vector<Shape>(3, {layout(from.layout).floats()}); });
    return true;
  }
  // One number for each channel, and perhaps for each image where a vector holds one image only.
  Shape small = shape(other);
  small.insert(small.begin(), shape(main).size() - std::min(small.size(), shape(main).size()), 1);
  const Image image = Image::of(shape(main));
  if (small.size() != shape(main).size() || product(small, 2) != 1 || (small[1] != 1 && small[1] != image.channels) ||
      (small[0] != 1 && tiling.images != 1))
    return false;
  const int with = plain(other);
  if (pair) {
    const Layout lies = layout(from.layout);
    const Place to = new_place(lies.image, lies.tiling);
    value(node.output).places.push_back(to);
    const ChannelNumbers numbers{with, small[1] == 1 ? 0 : 1, small[0] == 1 ? 0 : small[1]};
    draft(&node, "scales", {from.buffer, with}, {to.buffer}, entries_cycles(lies, kCyclesPerStored), [=] {
      return make_channel_pair(kernels_, *pair, {from.buffer, layout(from.layout)}, numbers, a_lies,
                               {to.buffer, layout(to.layout)});
    });
    return true;
  }
  const Place to = beside(from);
  value(node.output).places.push_back(to);
  flat(node, order(from.buffer, with), to, [=] {
    const Layout lies = layout(from.layout);
    const Shape whole{lies.groups(), lies.slices() * lies.rows(), lies.image.channels, lies.channel_floats()};
    const Shape few{small[0], 1, small[1], 1};
    return std::vector<Shape>{a_lies ? whole : few, a_lies ? few : whole, whole};
  });
  return true;
}

bool Planner::concat(const Node& node) {
  if (node.attributes.integer(AttributeName::kAxis) != 1 || !Image::holds(shape(node.output))) return false;
  const Place* first = nullptr;
  for (const int input : node.inputs) {
    if (graph_.is_constant(input)) return false;
    if (!first && !value(input).places.empty()) first = &value(input).places.front();
  }
  if (!first) return false;
  const Tiling tiling = layout(first->layout).tiling;
  const Place to = new_place(Image::of(shape(node.output)), tiling);
  std::vector<Place> from;
  std::vector<int> buffers;
  for (const int input : node.inputs) {
    const int found = place_with(input, tiling);
    from.push_back(found >= 0 ? value(input).places[static_cast<std::size_t>(found)]
                              : gathered(input, Image::of(shape(input)), tiling, {}, 0.0f));
    buffers.push_back(from.back().buffer);
    join(to.layout, from.back().layout);
  }
  value(node.output).places.push_back(to);
  flat(node, buffers, to, [=] {
    std::vector<Shape> shapes;
    for (const Place& place : from) shapes.push_back(by_channels(layout(place.layout)));
    shapes.push_back(by_channels(layout(to.layout)));
    return shapes;
  });
  return true;
}

bool Planner::depth_to_space(const Node& node) {
  if (value(node.inputs[0]).places.empty()) return false;
  const Place from = value(node.inputs[0]).places.front();
  const std::vector<Size>& given = node.attributes.integers(AttributeName::kBlocks);
  Blocks blocks;
  blocks.x = given.back();
  if (given.size() > 1) blocks.y = given[given.size() - 2];
  if (given.size() > 2) blocks.z = given[given.size() - 3];
  const bool blocks_first = node.attributes.choice<DepthToSpaceOrder>(AttributeName::kOrder) == DepthToSpaceOrder::kDcr;
  const Place to = new_place(Image::of(shape(node.output)), blocks.of(layout(from.layout).tiling));
  value(node.output).places.push_back(to);
  draft(&node, "depth to space", {from.buffer}, {to.buffer}, depth_to_space_cycles(layout(to.layout)), [=] {
    return make_depth_to_space(blocks, blocks_first, from.buffer, layout(from.layout), to.buffer, layout(to.layout));
  });
  return true;
}

/// Pixels that are cut off. What is put around comes in its turn: a convolution's own padding is better.
bool Planner::crop(const Node& node) {
  const int input = node.inputs[0];
  if (value(input).places.empty() || node.attributes.choice<PadMode>(AttributeName::kMode) != PadMode::kConstant)
    return false;
  const std::vector<Size>& pads = node.attributes.integers(AttributeName::kPads);
  const std::size_t axes = pads.size() / 2;
  if (axes < 3 || pads[0] != 0 || pads[1] != 0 || pads[axes] != 0 || pads[axes + 1] != 0) return false;
  if (std::any_of(pads.begin(), pads.end(), [](Size size) { return size > 0; })) return false;
  const Place from = value(input).places.front();
  const Layout lies = layout(from.layout);
  if (!can_move(lies)) return false;
  const Image image = Image::of(shape(node.output));
  Tiling tiling = lies.tiling;
  tiling.depth = ceil_divided(image.depth, tiling.tiles_z);
  tiling.height = ceil_divided(image.height, tiling.tiles_y);
  tiling.width = ceil_divided(image.width, tiling.tiles_x);
  Corner corner;
  corner.x = -pads[axes - 1];
  if (axes > 3) corner.y = -pads[axes - 2];
  if (axes > 4) corner.z = -pads[axes - 3];
  const Place to = new_place(image, tiling);
  value(node.output).places.push_back(to);
  draft(&node, "crop", {from.buffer}, {to.buffer}, move_cycles(layout(to.layout)),
        [=] { return make_crop(kernels_, from.buffer, layout(from.layout), corner, to.buffer, layout(to.layout)); });
  return true;
}

bool Planner::reshape(const Node& node) {
  const int input = node.inputs[0];
  if (graph_.is_constant(input)) return false;
  const Shape &from = shape(input), &to = shape(node.output);
  const std::vector<const Node*>& readers = readers_[static_cast<std::size_t>(node.output)];
  const bool flattens = Image::holds(from) && to.size() == 2 && to[0] == from[0];
  const bool for_linear =
      std::all_of(readers.begin(), readers.end(), [](const Node* reader) { return reader->op == Operator::kLinear; });
  if (flattens && for_linear && !is_output(node.output) && !value(input).places.empty() &&
      layout(value(input).places.front().layout).tiling.images == kVector)
    value(node.output).flat_of = input;
  else
    value(node.output).plain = plain(input);
  return true;
}

}  // namespace netsurgery
