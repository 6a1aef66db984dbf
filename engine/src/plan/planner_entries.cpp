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
constexpr double kCyclesPerCopied = 2.0;

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

Planner::Place Planner::copied(int number, const Place& place) {
  const Layout lies = layout(place.layout);
  const Place to = new_place(lies.image, lies.tiling);
  copy_entries(number, place, to);
  return to;
}

void Planner::copy_entries(int number, const Place& from, const Place& to) {
  draft(maker(number), "copy", {from.buffer}, {to.buffer}, entries_cycles(layout(from.layout), kCyclesPerCopied),
        [=] { return make_entry_copy({from.buffer, layout(from.layout)}, {to.buffer, layout(to.layout)}); });
}

Planner::Place Planner::alone(int number, const Place& place) {
  const bool shares = shares_[static_cast<std::size_t>(place.layout)].stack >= 0;
  const Place own = shares ? copied(number, place) : place;
  alone_[static_cast<std::size_t>(own.layout)] = true;
  return own;
}

Planner::Place Planner::alone_beside(const Place& place) {
  const Place made = beside(place);
  alone_[static_cast<std::size_t>(made.layout)] = true;
  return made;
}

int Planner::stack_of(const Place& place) {
  Share& share = shares_[static_cast<std::size_t>(place.layout)];
  if (share.stack < 0) {
    stacks_.push_back({place.buffer, layout(place.layout).image.channels});
    share.stack = static_cast<int>(stacks_.size()) - 1;
  }
  return share.stack;
}

bool Planner::has_room(const Place& place, Size channels) const {
  Layout grown = layout(place.layout);
  grown.row_channels = channels;
  return can_move(grown) && channels * (grown.columns() + kGrownBeside) <= kMostSharedRow;
}

Planner::Place Planner::part_of(int stack, Size first, const Image& image, const Place& like) {
  Layout made = layout(like.layout);
  made.image = image;
  const Place place{new_layout(made), stacks_[static_cast<std::size_t>(stack)].buffer};
  shares_[static_cast<std::size_t>(place.layout)] = {stack, first};
  join(like.layout, place.layout);
  return place;
}

Planner::Place Planner::stacked(const std::vector<int>& numbers, const Image& whole, std::vector<Place> parts) {
  const auto share = [this](const Place& place) -> Share& { return shares_[static_cast<std::size_t>(place.layout)]; };
  const auto channels_of = [this](const Place& place) { return layout(place.layout).image.channels; };
  const Place front = parts.front();
  // What lies behind each other already, from the beginning of a stack on.
  std::size_t together = 1;
  Size channels = channels_of(front);
  for (; together < parts.size() && share(front).stack >= 0; channels += channels_of(parts[together++]))
    if (share(parts[together]).stack != share(front).stack || share(parts[together]).first != channels) break;
  const bool begins = share(front).first == 0 && !alone_[static_cast<std::size_t>(front.layout)];
  if (begins && together == parts.size()) return part_of(stack_of(front), 0, whole, front);
  if (begins && has_room(front, whole.channels) &&
      stacks_[static_cast<std::size_t>(stack_of(front))].channels == channels) {
    const int stack = stack_of(front);
    Stack& all = stacks_[static_cast<std::size_t>(stack)];
    for (std::size_t i = together; i < parts.size(); ++i) {
      Place& part = parts[i];
      if (share(part).stack >= 0 || alone_[static_cast<std::size_t>(part.layout)]) part = copied(numbers[i], part);
      share(part) = {stack, all.channels};
      plan_.buffers[static_cast<std::size_t>(part.buffer)].same_as = all.buffer;
      all.channels += channels_of(part);
      join(front.layout, part.layout);
    }
    return part_of(stack, 0, whole, front);
  }
  const Place to = new_place(whole, layout(front.layout).tiling);
  Size first = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Layout lies = layout(parts[i].layout);
    const Place part = part_of(stack_of(to), first, lies.image, to);
    first += lies.image.channels;
    copy_entries(numbers[i], parts[i], part);
  }
  return to;
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
  const Place whole = alone(node.inputs[0], from), to = alone_beside(whole);
  value(node.output).places.push_back(to);
  flat(node, {whole.buffer}, to, [=] { return std::vector<Shape>(2, {layout(to.layout).floats()}); });
  return true;
}

bool Planner::normalisation(const Node& node) {
  if (value(node.inputs[0]).places.empty()) return false;
  if (node.attributes.number(AttributeName::kBeta) == 0.75f) {
    const Place from = value(node.inputs[0]).places.front(), to = beside(from);
    value(node.output).places.push_back(to);
    const Size size = node.attributes.integer(AttributeName::kSize);
    NormalisedRow row{};
    row.before = (size - 1) / 2;
    row.after = size / 2;
    row.share = node.attributes.number(AttributeName::kAlpha) / static_cast<float>(size);
    row.bias = node.attributes.number(AttributeName::kBias);
    const double entries = static_cast<double>(layout(from.layout).floats());
    draft(&node, "normalisation", {from.buffer}, {to.buffer}, entries * kCyclesPerNormalised, [=] {
      return make_normalisation(kernels_, row, {from.buffer, layout(from.layout)}, {to.buffer, layout(to.layout)});
    });
    return true;
  }
  const Place from = alone(node.inputs[0], value(node.inputs[0]).places.front()), to = alone_beside(from);
  value(node.output).places.push_back(to);
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
    const Place one = alone(main, from), two = alone(other, with);
    join(one.layout, two.layout);
    const Place to = alone_beside(one);
    value(node.output).places.push_back(to);
    flat(node, order(one.buffer, two.buffer), to, [=] { return std::vector<Shape>(3, {layout(to.layout).floats()}); });
    return true;
  }
  ChannelNumbers numbers{};
  if (!channel_numbers(node, main, tiling, numbers)) return false;
  if (node.op == Operator::kMul || node.op == Operator::kAdd) {
    scaled(node, main, numbers);
    return true;
  }
  if (pair) {
    const Layout lies = layout(from.layout);
    const Place to = new_place(lies.image, lies.tiling);
    value(node.output).places.push_back(to);
    draft(&node, "scales", {from.buffer, numbers.buffer}, {to.buffer}, entries_cycles(lies, kCyclesPerStored), [=] {
      return make_channel_pair(kernels_, *pair, {from.buffer, layout(from.layout)}, numbers, a_lies,
                               {to.buffer, layout(to.layout)});
    });
    return true;
  }
  const Place one = alone(main, from), to = alone_beside(one);
  value(node.output).places.push_back(to);
  flat(node, order(one.buffer, numbers.buffer), to, [=] {
    const Layout all = layout(to.layout);
    const Size channels = all.image.channels;
    const Shape whole{all.groups(), all.slices() * all.rows(), channels, all.channel_floats()};
    const Shape few{numbers.group > 0 ? all.image.count : 1, 1, numbers.channel > 0 ? channels : 1, 1};
    return std::vector<Shape>{a_lies ? whole : few, a_lies ? few : whole, whole};
  });
  return true;
}

bool Planner::channel_numbers(const Node& node, int main, const Tiling& tiling, ChannelNumbers& numbers) {
  const int other = node.inputs[node.inputs[0] == main ? 1 : 0];
  if (other == main || shape(main) != shape(node.output) || !is_known(other)) return false;
  Shape small = shape(other);
  small.insert(small.begin(), shape(main).size() - std::min(small.size(), shape(main).size()), 1);
  const Size channels = Image::of(shape(main)).channels;
  if (small.size() != shape(main).size() || product(small, 2) != 1 || (small[1] != 1 && small[1] != channels) ||
      (small[0] != 1 && tiling.images != 1))
    return false;
  numbers = {plain(other), small[1] == 1 ? 0 : 1, small[0] == 1 ? 0 : small[1]};
  return true;
}

void Planner::scaled(const Node& node, int source, const ChannelNumbers& numbers) {
  const Place from = value(source).places.front();
  const Layout lies = layout(from.layout);
  Scaled made{&node, source, from, {}, {numbers.buffer}};
  std::optional<ChannelNumbers>&scale = made.scaling.scale, &shift = made.scaling.shift;
  (node.op == Operator::kMul ? scale : shift) = numbers;
  int output = node.output, residual_layout = -1;
  const Node* next = only_reader(output);
  if (ChannelNumbers more{};
      scale && next && next->op == Operator::kAdd && channel_numbers(*next, output, lies.tiling, more)) {
    shift = more;
    made.reads.push_back(more.buffer);
    output = next->output;
    done_[static_cast<std::size_t>(next - nodes_.data())] = true;
  }
  const Ending end = ending(nullptr, output, residual_layout, true);
  made.scaling.clips = end.clips;
  made.scaling.low = end.low;
  made.scaling.high = end.high;
  made.scaling.activation = end.activation;
  if (is_scaled_later(output, made))
    value(output).scaled = std::move(made);
  else
    scale_now(output, made);
}

bool Planner::is_scaled_later(int number, const Scaled& scaled) const {
  const Node* reader = only_reader(number);
  if (!reader || reader->op != Operator::kConv || shape(number).size() < 3) return false;
  const Convolution convolution = convolution_of(*reader);
  const Image input = Image::of(shape(number)), output = Image::of(shape(reader->output));
  const bool as_rows = convolution.is_picture(input, output) && options_.images < kFewestForLanes;
  // Zeros around a picture aren't scaled.
  const bool sees_zeros = convolution.sees_outside(input, output);
  return convolution.may_scale() && !as_rows && !sees_zeros &&
         layout(scaled.from.layout).tiling.images == options_.images;
}

void Planner::scale_now(int number, const Scaled& scaled) {
  const Place from = scaled.from;
  const Layout lies = layout(from.layout);
  const Place to = new_place(lies.image, lies.tiling);
  value(number).places.push_back(to);
  std::vector<int> reads = scaled.reads;
  reads.push_back(from.buffer);
  const Scaling scaling = scaled.scaling;
  draft(scaled.node, "scales", std::move(reads), {to.buffer}, entries_cycles(lies, kCyclesPerStored), [=] {
    return make_scaled(kernels_, scaling, {from.buffer, layout(from.layout)}, {to.buffer, layout(to.layout)});
  });
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
  std::vector<Place> parts;
  for (const int input : node.inputs) {
    const int found = place_with(input, tiling);
    parts.push_back(found >= 0 ? value(input).places[static_cast<std::size_t>(found)]
                               : gathered(input, Image::of(shape(input)), tiling, {}, 0.0f));
  }
  value(node.output).places.push_back(stacked(node.inputs, Image::of(shape(node.output)), std::move(parts)));
  return true;
}

bool Planner::slice(const Node& node) {
  const int input = node.inputs[0];
  if (graph_.is_constant(input) || value(input).places.empty()) return false;
  if (node.attributes.integer(AttributeName::kAxis) != 1 || node.attributes.integer(AttributeName::kStep) != 1)
    return false;
  const Size start = node.attributes.integer(AttributeName::kStart);
  Place from = value(input).places.front();
  if (alone_[static_cast<std::size_t>(from.layout)]) from = copied(input, from);
  const int stack = stack_of(from);
  const Size first = shares_[static_cast<std::size_t>(from.layout)].first + start;
  value(node.output).places.push_back(part_of(stack, first, Image::of(shape(node.output)), from));
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
  const std::vector<Place>& places = value(input).places;
  const bool image_a_lane = !places.empty() && layout(places.front().layout).tiling.images == kVector;
  if (flattens && for_linear && !is_output(node.output) &&
      (image_a_lane || (!value(input).fixed.empty() && options_.images == kShorts)))
    value(node.output).flat_of = input;
  else
    value(node.output).plain = plain(input);
  return true;
}

}  // namespace netsurgery
