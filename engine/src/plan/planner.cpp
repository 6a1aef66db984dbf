#include "plan/planner.hpp"

#include <algorithm>
#include <cmath>

#include "lanes/fixed_movement.hpp"
#include "lanes/movement.hpp"
#include "plan/plain_step.hpp"

namespace netsurgery {
Planner::Planner(const Graph& graph, const Kernels& kernels, const Sizes& sizes, const PlanOptions& options)
    : graph_(graph),
      filled_(graph.extents.empty() ? std::vector<Node>() : graph.nodes_at(sizes)),
      nodes_(graph.extents.empty() ? graph.nodes : filled_),
      kernels_(kernels),
      options_(options),
      shapes_(graph.shapes(sizes)),
      values_(graph.inputs.size() + graph.nodes.size() + graph.constants.size()),
      readers_(values_.size()),
      grids_(values_.size()),
      done_(graph.nodes.size(), false) {
  for (const Node& node : nodes_)
    for (const int input : node.inputs)
      if (input != kLeftOut) readers_[static_cast<std::size_t>(input)].push_back(&node);
}

Plan Planner::plan() {
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
    Buffer buffer;
    buffer.home = Buffer::Home::kInput;
    buffer.number = static_cast<int>(i);
    buffer.entries = product(shape(static_cast<int>(i)));
    buffer.entry_bytes = entry_of(graph_.inputs[i].type).bytes;
    plan_.buffers.push_back(std::move(buffer));
    values_[i].plain = static_cast<int>(i);
  }
  if (!options_.plain_only) find_attention();
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (!done_[i]) node(nodes_[i]);
  outputs();
  for (const Place& place : blocked_) {
    const Layout lies = layout(place.layout);
    Buffer& buffer = plan_.buffers[static_cast<std::size_t>(place.buffer)];
    buffer.entries = buffer.same_as < 0 ? lies.floats() : lies.floats() / lies.row_channels * lies.image.channels;
  }
  for (const StepInfo& info : plan_.infos) plan_.cycles += memory_cycles(info);
  if (options_.estimate_only) return std::move(plan_);
  place_buffers(plan_);
  const auto packed = packed_after();
  for (std::size_t i = 0; i < makes_.size(); ++i) {
    plan_.steps.push_back(makes_[i]());
    if (plan_.steps.back()->may_fail()) plan_.watched.push_back(plan_.steps.size() - 1);
    plan_.scratch_floats = std::max(plan_.scratch_floats, plan_.steps.back()->scratch());
    for (const std::size_t weight : packed[i]) options_.packed(weight);
  }
  return std::move(plan_);
}

/// The weights that no step reads behind each one: of layers alone, which read them in a step of their own.
std::vector<std::vector<std::size_t>> Planner::packed_after() const {
  std::vector<std::vector<std::size_t>> found(makes_.size());
  if (!options_.packed) return found;
  std::vector<std::ptrdiff_t> last(nodes_.size(), -1);  // step of each node
  for (std::size_t i = 0; i < plan_.infos.size(); ++i)
    if (plan_.infos[i].node >= 0) last[static_cast<std::size_t>(plan_.infos[i].node)] = static_cast<std::ptrdiff_t>(i);
  for (std::size_t constant = 0; constant < graph_.constants.size(); ++constant) {
    const auto& readers = readers_[static_cast<std::size_t>(graph_.first_constant()) + constant];
    std::ptrdiff_t step = -1;
    for (const Node* reader : readers) {
      const std::ptrdiff_t its = last[static_cast<std::size_t>(reader - nodes_.data())];
      if (its < 0 || entry_of(reader->op).work != Work::kLayer) {
        step = -1;
        break;
      }
      step = std::max(step, its);
    }
    if (step >= 0) found[static_cast<std::size_t>(step)].push_back(constant);
  }
  return found;
}

/// What moving a step's values costs where they don't fit the caches.
double Planner::memory_cycles(const StepInfo& info) const {
  constexpr double kSecondCache = 1 << 20, kThirdCache = 12 << 20;              // bytes
  constexpr double kBytesPerCycleFromThird = 24, kBytesPerCycleFromMemory = 7;  // of one core
  double bytes = 0;
  for (const auto* used : {&info.reads, &info.writes})
    for (const int buffer : *used)
      bytes += static_cast<double>(plan_.buffers[static_cast<std::size_t>(buffer)].bytes());
  if (bytes <= kSecondCache) return 0;
  return bytes / (bytes <= kThirdCache ? kBytesPerCycleFromThird : kBytesPerCycleFromMemory);
}

void Planner::node(const Node& node) {
  grids_[static_cast<std::size_t>(node.output)] = grid_of(node);
  bool made = !options_.plain_only && (attention(node) || on_tokens(node));
  if (!made && !options_.plain_only) switch (entry_of(node.op).work) {
      case Work::kEntrywise:
        made = unary(node);
        break;
      case Work::kBroadcast:
        made = binary(node);
        break;
      default:
        made = of_its_own(node);
    }
  if (!made && node.op == Operator::kReshape) made = reshape(node);
  if (!made) plain_node(node);
}

/// Operators with steps of their own. Any other one goes the plain way.
bool Planner::of_its_own(const Node& node) {
  switch (node.op) {
    case Operator::kConv:
      return fixed_depthwise(node) || fixed_convolution(node) || convolution(node);
    case Operator::kLinear:
      return fixed_linear(node) || linear(node);
    case Operator::kMaxPool:
      return fixed_pool(node) || pool(node);
    case Operator::kAveragePool:
      return pool(node);
    case Operator::kAdaptiveAveragePool:
    case Operator::kMean:
      return fixed_average(node) || global_average(node);
    case Operator::kResize:
      return repeated(node);
    case Operator::kConcat:
      return concat(node);
    case Operator::kDepthToSpace:
      return depth_to_space(node);
    case Operator::kPad:
      return crop(node) || thinned(node);
    case Operator::kSlice:
      return slice(node) || thinned(node);
    case Operator::kQuantize:
      return rounded(node) || quantize(node);
    case Operator::kLrn:
      return normalisation(node);
    case Operator::kLstm:
    case Operator::kGru:
    case Operator::kRnn:
      return recurrent(node);
    default:
      return false;
  }
}

void Planner::plain_node(const Node& node) {
  std::vector<int> operands, reads;
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const int input = node.inputs[i];
    shapes.push_back(input == kLeftOut ? Shape() : shape(input));
    const bool taken = input == kLeftOut || entry_of(node.op).operand(i).constant;
    operands.push_back(taken ? -1 : plain(input));
    if (!taken) reads.push_back(operands.back());
  }
  const Shape& made = shape(node.output);
  const int to = arena(product(made), node.type);
  value(node.output).plain = to;
  Size useful = 0;
  if (entry_of(node.op).work == Work::kLayer) {
    const Constant& weight = graph_.constant(node.inputs[1]);
    useful = weight.kept * (product(made) / weight.rows);
  }
  draft(
      &node, "plain", reads, {to},
      static_cast<double>(useful) + kCyclesPerPlainEntry * static_cast<double>(product(made)),
      [=, &node] { return make_plain_step(make_plain_kernel(graph_, node, shapes, made, kernels_), operands, to); },
      useful);
}

void Planner::outputs() {
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const int given = plain(graph_.outputs[i]);
    const int target = plan_.buffers[static_cast<std::size_t>(given)].home == Buffer::Home::kArena
                           ? given
                           : arena(product(shape(graph_.outputs[i])), graph_.type(graph_.outputs[i]));
    Buffer& buffer = plan_.buffers[static_cast<std::size_t>(target)];
    buffer.home = Buffer::Home::kOutput;
    buffer.number = static_cast<int>(i);
    const Size bytes = buffer.bytes();
    if (target == given) continue;
    draft(nullptr, "copy", {given}, {target}, static_cast<double>(buffer.entries),
          [=] { return make_copy(given, target, bytes); });
  }
}

int Planner::plain(int number) {
  Value& one = value(number);
  if (one.plain >= 0) return one.plain;
  if (one.flat_of >= 0) return one.plain = plain(one.flat_of);
  if (one.rounded_from >= 0 && one.fixed.empty()) {
    plain_node(*maker(number));
    return value(number).plain;
  }
  if (one.scaled && one.places.empty()) scale_now(number, *one.scaled);
  if (graph_.is_constant(number)) {
    const int buffer = arena(product(shape(number)));
    plan_.buffers.back().home = Buffer::Home::kConstant;
    if (!options_.estimate_only) plan_.buffers.back().constant = graph_.constant(number).dense();
    return one.plain = buffer;
  }
  const int to = arena(product(shape(number)));
  one.plain = to;
  if (one.places.empty() && !one.fixed.empty()) {
    const Place from = one.fixed.front();
    const int exponent = grids_[static_cast<std::size_t>(number)].exponent;
    draft(maker(number), "fixed scatter", {from.buffer}, {to}, fixed_scatter_cycles(layout(from.layout)), [=] {
      return make_fixed_scatter(kernels_, from.buffer, layout(from.layout), to, std::ldexp(1.0f, exponent));
    });
    return to;
  }
  if (one.places.empty()) {
    const Place from = one.tokens;
    draft(maker(number), "scatter", {from.buffer}, {to}, scatter_cycles(layout(from.layout)),
          [=] { return make_token_scatter(kernels_, from.buffer, layout(from.layout), to); });
    return to;
  }
  const Place from = one.places.front();
  draft(maker(number), "scatter", {from.buffer}, {to}, scatter_cycles(layout(from.layout)),
        [=] { return make_scatter(kernels_, from.buffer, layout(from.layout), to); });
  return to;
}

Planner::Place Planner::gathered(int number, const Image& image, const Tiling& tiling, const Halo& halo,
                                 float outside) {
  const bool moves = moves_to(number, tiling.images);
  const Place place = moves ? value(number).places.front() : Place{};
  const int from = moves ? place.buffer : plain(number);
  const Place to = new_place(image, tiling, halo);
  // Other readers find it too, unless their windows would miss pixels that lie in its halo only.
  if (tiling.covers(image)) value(number).places.push_back(to);
  if (moves) {
    draft(maker(number), "move", {from}, {to.buffer}, move_cycles(layout(to.layout)),
          [=] { return make_move(kernels_, from, layout(place.layout), to.buffer, layout(to.layout), outside); });
    return to;
  }
  draft(maker(number), "gather", {from}, {to.buffer}, gather_cycles(layout(to.layout)),
        [=] { return make_gather(kernels_, from, to.buffer, layout(to.layout), outside); });
  return to;
}

bool Planner::moves_to(int number, Size images) {
  const Value& one = value(number);
  if (one.plain >= 0 || one.places.empty()) return false;
  const Layout from = layout(one.places.front().layout);
  return from.tiling.images == images && can_move(from);
}

bool Planner::known_by_now(int number) {
  constexpr int kMostNodes = 8;
  std::vector<const Node*> chain;
  while (!graph_.is_constant(number) && !is_known(number)) {
    const Node* node = maker(number);
    const bool moves = node && (node->op == Operator::kSlice || node->op == Operator::kPad);
    if (!moves || done_[static_cast<std::size_t>(node - nodes_.data())] || chain.size() == kMostNodes) return false;
    chain.push_back(node);
    number = node->inputs[0];
  }
  for (auto it = chain.rbegin(); it != chain.rend(); ++it)
    if (!done_[static_cast<std::size_t>(*it - nodes_.data())]) {
      node(**it);
      done(**it);
    }
  return true;
}

bool Planner::is_known(int number) {
  const Value& one = value(number);
  return graph_.is_constant(number) || one.plain >= 0 || !one.places.empty() || !one.fixed.empty() ||
         one.flat_of >= 0 || one.rounded_from >= 0 || one.scaled || has_tokens(number);
}

int Planner::place_with(int number, const Tiling& tiling) { return place_in(value(number).places, tiling); }

int Planner::place_in(const std::vector<Place>& places, const Tiling& tiling) const {
  for (std::size_t i = 0; i < places.size(); ++i)
    if (layout(places[i].layout).tiling == tiling) return static_cast<int>(i);
  return -1;
}

Planner::Place Planner::new_place(const Image& image, const Tiling& tiling, const Halo& halo) {
  Layout layout;
  layout.image = image;
  layout.tiling = tiling;
  layout.halo = halo;
  const Place place{new_layout(layout), arena(0)};
  blocked_.push_back(place);
  return place;
}

Planner::Place Planner::beside(const Place& place) {
  const Layout given = layout(place.layout);
  const Place made = new_place(given.image, given.tiling);
  join(place.layout, made.layout);
  return made;
}

int Planner::new_layout(const Layout& layout) {
  layouts_.push_back(layout);
  joined_.push_back(static_cast<int>(joined_.size()));
  shares_.emplace_back();
  alone_.push_back(false);
  return static_cast<int>(layouts_.size()) - 1;
}

int Planner::arena(Size entries, ValueType type) {
  Buffer buffer;
  buffer.entries = entries;
  buffer.entry_bytes = entry_of(type).bytes;
  plan_.buffers.push_back(std::move(buffer));
  return static_cast<int>(plan_.buffers.size()) - 1;
}

int Planner::root(int index) const {
  while (joined_[static_cast<std::size_t>(index)] != index) index = joined_[static_cast<std::size_t>(index)];
  return index;
}

void Planner::join(int a, int b) {
  a = root(a);
  b = root(b);
  if (a == b) return;
  grow(a, layouts_[static_cast<std::size_t>(b)].halo);
  joined_[static_cast<std::size_t>(b)] = a;
}

Layout Planner::layout(int index) const {
  Layout result = layouts_[static_cast<std::size_t>(index)];
  result.halo = layouts_[static_cast<std::size_t>(root(index))].halo;
  const Share& share = shares_[static_cast<std::size_t>(index)];
  if (share.stack >= 0) {
    result.row_channels = stacks_[static_cast<std::size_t>(share.stack)].channels;
    result.first_channel = share.first;
  }
  return result;
}

bool Planner::is_output(int number) const {
  return std::find(graph_.outputs.begin(), graph_.outputs.end(), number) != graph_.outputs.end();
}

const Node* Planner::only_reader(int number) const {
  const std::vector<const Node*>& readers = readers_[static_cast<std::size_t>(number)];
  return readers.size() == 1 && !is_output(number) ? readers.front() : nullptr;
}

const Node* Planner::maker(int number) const {
  const std::size_t inputs = graph_.inputs.size(), place = static_cast<std::size_t>(number);
  return place >= inputs && place < inputs + nodes_.size() ? &nodes_[place - inputs] : nullptr;
}

void Planner::draft(const Node* node, const char* kind, std::vector<int> reads, std::vector<int> writes, double cycles,
                    Make make, Size multiply_adds) {
  StepInfo info;
  info.node = node ? static_cast<int>(node - nodes_.data()) : -1;
  info.kind = kind;
  info.reads = std::move(reads);
  info.writes = std::move(writes);
  info.cycles = cycles;
  info.multiply_adds = multiply_adds;
  plan_.cycles += cycles;
  plan_.infos.push_back(std::move(info));
  if (!options_.estimate_only) makes_.push_back(std::move(make));
}

Plan make_plan(const Graph& graph, const Kernels& kernels, const Sizes& sizes, const PlanOptions& options) {
  return Planner(graph, kernels, sizes, options).plan();
}

}  // namespace netsurgery
