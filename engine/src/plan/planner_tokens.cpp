// Steps on tokens: fully connected layers on any number of axes, and what goes on between them.
#include <algorithm>
#include <limits>

#include "lanes/movement.hpp"
#include "lanes/sign_tables.hpp"
#include "lanes/tokens.hpp"
#include "plain/kernel_function.hpp"
#include "plan/planner.hpp"

namespace netsurgery {
namespace {

constexpr Size kFewestTokens = 8;  // of an image, for vectors of its own
constexpr double kCyclesPerNormalised = 1.0;

/// As (rows of vectors, channels, vectors * lanes): what works on channels, or on entries, sees nothing else.
Shape by_channels(const Layout& layout) {
  return {layout.groups() * layout.rows(), layout.image.channels, layout.channel_floats()};
}

/// An order of axes that leaves entries where they are: only axes of size 1 change places.
bool keeps_order(const Shape& shape, const std::vector<Size>& order) {
  Size last = -1;
  for (const Size axis : order) {
    if (shape[static_cast<std::size_t>(axis)] == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

}  // namespace

Layout Planner::tokens_of(const Shape& shape) const {
  const Size channels = shape.back(), all = product(shape) / channels;
  const bool apart = shape.size() >= 3 && all / shape.front() >= kFewestTokens;
  const Size groups = apart ? shape.front() : 1;
  return token_layout(groups, all / groups, channels, options_.threads);
}

Planner::Place Planner::new_tokens(const Layout& layout) { return {new_layout(layout), arena(layout.floats())}; }

Planner::Place Planner::tokens(int number, const Layout& wanted) {
  const bool known = has_tokens(number);
  if (known) {
    const Layout lies = layout(value(number).tokens.layout);
    if (lies.image.count == wanted.image.count && lies.image.width == wanted.image.width) return value(number).tokens;
  }
  const int from = plain(number);
  const Layout made = token_layout(wanted.image.count, wanted.image.width, shape(number).back(), options_.threads);
  const Place to = new_tokens(made);
  if (!known) value(number).tokens = to;
  draft(maker(number), "gather", {from}, {to.buffer}, gather_cycles(made),
        [=] { return make_token_gather(kernels_, from, to.buffer, made); });
  return to;
}

bool Planner::on_tokens(const Node& node) {
  switch (entry_of(node.op).work) {
    case Work::kEntrywise:
      return token_unary(node);
    case Work::kBroadcast:
      return token_binary(node);
    default:
      break;
  }
  switch (node.op) {
    case Operator::kLinear:
      return token_linear(node);
    case Operator::kLayerNorm:
    case Operator::kRmsNorm:
      return token_norm(node);
    case Operator::kConcat:
      return token_concat(node);
    case Operator::kReshape:
    case Operator::kTranspose:
      return token_view(node);
    default:
      return false;
  }
}

bool Planner::token_linear(const Node& node) {
  const Shape& x = shape(node.inputs[0]);
  if (!has_tokens(node.inputs[0])) {
    const Size count = product(x) / x.back();
    if (count < kFewestForLanes || value(node.inputs[0]).flat_of >= 0) return false;
    if (x.size() == 2 && (options_.images >= kFewestForLanes || count < kFewestTokens)) return false;
  }
  Convolution convolution;
  convolution.weight = &graph_.constant(node.inputs[1]);
  convolution.bias = node.inputs.size() > 2 ? &graph_.constant(node.inputs[2]) : nullptr;
  const Constant& weight = *convolution.weight;
  const Layout seen = has_tokens(node.inputs[0]) ? layout(value(node.inputs[0]).tokens.layout) : tokens_of(x);
  if (seen.row_floats() > std::numeric_limits<std::int32_t>::max() / 4) return false;  // offsets have 32 bits
  const Place from = tokens(node.inputs[0], seen);
  Layout made = seen;
  made.image.channels = weight.rows;
  int output = node.output, residual_layout = -1;
  const bool tables = prefers_tables(weight, 1), dense = !tables && prefers_token_product(weight);
  const Ending end = token_ending(made, output, residual_layout, !tables);
  const Place to = new_tokens(made);
  value(output).tokens = to;
  std::vector<int> reads{from.buffer};
  if (end.residual >= 0) reads.push_back(end.residual);
  const double cycles = tables  ? table_cycles(convolution, made)
                        : dense ? token_product_cycles(weight, made)
                                : convolution_cycles(kernels_, convolution, made);
  draft(
      &node,
      tables  ? "tables"
      : dense ? "dense tokens"
              : "sparse tokens",
      reads, {to.buffer}, cycles,
      [=, &weight]() -> std::unique_ptr<Step> {
        Ending finished = end;
        if (residual_layout >= 0) finished.residual_layout = layout(residual_layout);
        if (dense)
          return make_token_product(kernels_, weight, convolution.bias, from.buffer, seen, to.buffer, made, finished,
                                    options_.threads);
        const auto make = tables ? make_table_convolution : make_convolution;
        return make(kernels_, convolution, from.buffer, seen, to.buffer, made, finished, options_.threads);
      },
      weight.kept*(product(x) / x.back()));
  return true;
}

Ending Planner::token_ending(const Layout& given, int& output, int& residual_layout, bool activates) {
  Ending result;
  for (;;) {
    const Node* reader = only_reader(output);
    if (!reader) return result;
    if (reader->op == Operator::kRelu || reader->op == Operator::kClip) {
      const bool relu = reader->op == Operator::kRelu;
      result.clips = true;
      result.low = relu ? 0.0f : reader->attributes.number(AttributeName::kMinimum);
      result.high = relu ? std::numeric_limits<float>::infinity() : reader->attributes.number(AttributeName::kMaximum);
      output = reader->output;
      done_[static_cast<std::size_t>(reader - nodes_.data())] = true;
      return result;
    }
    if (activates && is_entrywise(reader->op)) {
      const auto function = plain::kernel_function(*reader);
      if (!function) return result;
      result.activation = function->activation;
      output = reader->output;
      done_[static_cast<std::size_t>(reader - nodes_.data())] = true;
      return result;
    }
    if (reader->op != Operator::kAdd || result.residual >= 0) return result;
    const int other = reader->inputs[0] == output ? reader->inputs[1] : reader->inputs[0];
    if (other == output || graph_.is_constant(other) || shape(other) != shape(output) || !is_known(other))
      return result;
    const Place place = tokens(other, given);
    result.residual = place.buffer;
    residual_layout = place.layout;
    output = reader->output;
    done_[static_cast<std::size_t>(reader - nodes_.data())] = true;
  }
}

bool Planner::token_unary(const Node& node) {
  if (!has_tokens(node.inputs[0])) return false;
  const Place from = value(node.inputs[0]).tokens;
  const Layout made = layout(from.layout);
  const Place to = new_tokens(made);
  value(node.output).tokens = to;
  flat(node, {from.buffer}, to, [=] { return std::vector<Shape>(2, {made.floats()}); });
  return true;
}

bool Planner::token_binary(const Node& node) {
  const int a = node.inputs[0], b = node.inputs[1];
  if (!has_tokens(a) && !has_tokens(b)) return false;
  const int main = has_tokens(a) ? a : b, other = has_tokens(a) ? b : a;
  if (shape(main) != shape(node.output)) return false;
  const Place from = value(main).tokens;
  const Layout made = layout(from.layout);
  const auto order = [&](int first, int second) {
    return main == a ? std::vector<int>{first, second} : std::vector<int>{second, first};
  };
  if (shape(other) == shape(main)) {
    const Place with = tokens(other, made);
    const Place to = new_tokens(made);
    value(node.output).tokens = to;
    flat(node, order(from.buffer, with.buffer), to, [=] { return std::vector<Shape>(3, {made.floats()}); });
    return true;
  }
  // One number, or one for each channel.
  const Size entries = product(shape(other));
  if (entries != 1 && (shape(other).back() != made.image.channels || entries != made.image.channels)) return false;
  const int with = plain(other);
  const Place to = new_tokens(made);
  value(node.output).tokens = to;
  const bool first = main == a;
  flat(node, order(from.buffer, with), to, [=] {
    const Shape whole = by_channels(made), few{1, entries, 1};
    return std::vector<Shape>{first ? whole : few, first ? few : whole, whole};
  });
  return true;
}

bool Planner::token_norm(const Node& node) {
  const Size axis = node.attributes.integer(AttributeName::kAxis);
  if (!has_tokens(node.inputs[0]) || axis + 1 != static_cast<Size>(shape(node.inputs[0]).size())) return false;
  const Place from = value(node.inputs[0]).tokens;
  const Layout made = layout(from.layout);
  const auto constant = [&](std::size_t operand) {
    const bool given = operand < node.inputs.size() && node.inputs[operand] != kLeftOut;
    return given ? &graph_.constant(node.inputs[operand]) : nullptr;
  };
  const Constant *scale = constant(1), *bias = constant(2);
  const bool centres = node.op == Operator::kLayerNorm;
  const auto epsilon = static_cast<double>(node.attributes.number(AttributeName::kEpsilon));
  const Place to = new_tokens(made);
  value(node.output).tokens = to;
  draft(
      &node, "normalisation", {from.buffer}, {to.buffer}, kCyclesPerNormalised * static_cast<double>(made.floats()),
      [=] { return make_token_normalisation(kernels_, from.buffer, to.buffer, made, scale, bias, epsilon, centres); });
  return true;
}

bool Planner::token_concat(const Node& node) {
  const Size axis = node.attributes.integer(AttributeName::kAxis);
  const auto has = [this](int input) { return !graph_.is_constant(input) && has_tokens(input); };
  const auto first = std::find_if(node.inputs.begin(), node.inputs.end(), has);
  if (axis == 0 || axis + 1 != static_cast<Size>(shape(node.output).size()) || first == node.inputs.end()) return false;
  if (std::any_of(node.inputs.begin(), node.inputs.end(), [this](int input) { return graph_.is_constant(input); }))
    return false;
  Layout made = layout(value(*first).tokens.layout);
  std::vector<Layout> given;
  std::vector<int> buffers;
  for (const int input : node.inputs) {
    const Place place = tokens(input, made);
    given.push_back(layout(place.layout));
    buffers.push_back(place.buffer);
  }
  made.image.channels = shape(node.output).back();
  const Place to = new_tokens(made);
  value(node.output).tokens = to;
  given.push_back(made);
  flat(node, buffers, to, [=] {
    std::vector<Shape> shapes;
    for (const Layout& one : given) {
      Shape channels = by_channels(one);
      channels.insert(channels.begin(), static_cast<std::size_t>(axis - 1), 1);  // so that channels are this axis
      shapes.push_back(channels);
    }
    return shapes;
  });
  return true;
}

bool Planner::token_view(const Node& node) {
  const int input = node.inputs[0];
  if (!has_tokens(input) || shape(node.output).empty() || shape(node.output).back() != shape(input).back())
    return false;
  if (node.op == Operator::kTranspose && !keeps_order(shape(input), node.attributes.integers(AttributeName::kOrder)))
    return false;
  value(node.output).tokens = value(input).tokens;
  return true;
}

}  // namespace netsurgery
