// Convolutions and fully connected layers, and what is done with their sums at once.
#include <cmath>
#include <limits>

#include "lanes/depthwise_convolution.hpp"
#include "lanes/movement.hpp"
#include "lanes/picked_rows.hpp"
#include "lanes/rows.hpp"
#include "lanes/sign_tables.hpp"
#include "lanes/turned_depthwise.hpp"
#include "plain/kernel_function.hpp"
#include "plan/planner.hpp"

namespace netsurgery {
namespace {

constexpr double kCyclesPerScaled = 2.0;  // of a vector that a convolution scales on the way

bool is_clip(const Node& node) { return node.op == Operator::kRelu || node.op == Operator::kClip; }

}  // namespace

Convolution Planner::convolution_of(const Node& node) const {
  const Constant& weight = graph_.constant(node.inputs[1]);
  Convolution convolution{Windows::of(node.attributes, weight.shape.data() + 2, weight.shape.size() - 2)};
  convolution.weight = &weight;
  convolution.bias = node.inputs.size() > 2 ? &graph_.constant(node.inputs[2]) : nullptr;
  convolution.groups = node.attributes.integer(AttributeName::kGroups);
  convolution.exact = grids_[static_cast<std::size_t>(node.inputs[0])].known;
  return convolution;
}

bool Planner::convolution(const Node& node) {
  const Shape& x = shape(node.inputs[0]);
  if (!Image::holds(x) || x.size() < 3) return false;
  const Image input = Image::of(x), output = Image::of(shape(node.output));
  const Convolution convolution = convolution_of(node);
  const bool sees_all = convolution.groups == 1 && convolution.is_picture(input, output);
  if (sees_all && options_.images < kFewestForLanes) {
    rows(node, input.count);
    return true;
  }
  return lanes(node, convolution, node.inputs[0], input, output, options_.images);
}

bool Planner::linear(const Node& node) {
  const Shape& x = shape(node.inputs[0]);
  const Size count = product(x) / x.back();
  if (x.size() != 2) {
    if (count >= kFewestForLanes && !PickedMatrix::pays(kernels_, graph_.constant(node.inputs[1])))
      return flattened(node, count);
    rows(node, count);
    return true;
  }
  if (count < kFewestForLanes || options_.images < kFewestForLanes) {
    rows(node, count);
    return true;
  }
  Convolution convolution;
  convolution.weight = &graph_.constant(node.inputs[1]);
  convolution.bias = node.inputs.size() > 2 ? &graph_.constant(node.inputs[2]) : nullptr;
  const int source = value(node.inputs[0]).flat_of;
  const int input = source >= 0 ? source : node.inputs[0];
  const Image image = Image::of(shape(input));
  convolution.kernel_z = image.depth;
  convolution.kernel_y = image.height;
  convolution.kernel_x = image.width;
  return lanes(node, convolution, input, image, Image::of(shape(node.output)), kVector);
}

bool Planner::flattened(const Node& node, Size count) {
  if (!value(node.inputs[0]).places.empty()) return false;  // vectors of other rows than those that are needed
  Convolution convolution;
  convolution.weight = &graph_.constant(node.inputs[1]);
  convolution.bias = node.inputs.size() > 2 ? &graph_.constant(node.inputs[2]) : nullptr;
  const Image input = Image::of({count, convolution.weight->columns});
  const Image output = Image::of({count, convolution.weight->rows});
  if (!lanes(node, convolution, node.inputs[0], input, output, kVector, true)) return false;
  plain(node.output);
  value(node.inputs[0]).places.clear();  // what reads them next takes them for vectors of its own axes
  value(node.output).places.clear();
  return true;
}

bool Planner::lanes(const Node& node, Convolution convolution, int input, const Image& input_image,
                    const Image& output_image, Size images, bool alone) {
  const std::optional<Scaled> scaled = value(input).scaled;
  if (scaled) {
    input = scaled->source;
    convolution.scaling = scaled->scaling;
  }
  const bool tables = prefers_tables(*convolution.weight, convolution.groups);
  const auto cycles = [&](const Layout& output) {
    return tables ? table_cycles(convolution, output) : convolution_cycles(kernels_, convolution, output);
  };
  Tiling other;
  Choice choice = choose(node, convolution, input, input_image, output_image, images,
                         !alone && residual_tiling(node, other) ? &other : nullptr, cycles);
  const Layout estimated{input_image, choice.input, choice.halo};
  if (std::isinf(choice.cycles) || is_wasteful(estimated, input_image, output_image)) return false;
  if (scaled && choice.input.images != options_.images) return false;  // whose numbers are those of these images
  // Offsets of dense strips and tables have 32 bits, those of sparse ones 16 within a row of the kernel; halos may
  // grow.
  constexpr Size kGrown = 256, kGrownFar = 4096;  // what other readers' windows reach
  const Size row = input_image.channels * (estimated.columns() + kGrown);
  const Size slice = estimated.slice_floats() / kVector;  // should it grow, `offsets_fit` notices
  constexpr Size kMost = std::numeric_limits<std::int32_t>::max() / (kVector * 4);
  if ((convolution.reach_z() - 1) * slice + convolution.reach_y() * row > kMost) return false;
  if (estimated.columns() + convolution.reach_x() + kGrownFar > std::numeric_limits<std::uint16_t>::max()) return false;
  if (convolution.reach_y() > kMostSharedReach && choice.place >= 0) {
    const Place& read = value(input).places[static_cast<std::size_t>(choice.place)];
    if (shares_[static_cast<std::size_t>(read.layout)].stack >= 0) return false;
    alone_[static_cast<std::size_t>(read.layout)] = true;
  }
  int output = node.output, residual_layout = -1;
  const ConvolutionWay way = convolution_way(kernels_, convolution, Layout{output_image, choice.output, {}});
  // Sums of a block's pixels are only of those there are: none may be what an earlier run has left.
  const bool pads = choice.halo.any() || convolution.sees_outside(input_image, output_image) ||
                    (!tables && way == ConvolutionWay::kWinograd);
  Ending end;
  if (!alone) end = ending(&choice.output, output, residual_layout, !tables);
  const bool by_channels = !tables && way == ConvolutionWay::kDepthwise;
  // What is gathered has its halo, where also pixels lie that no tile has. What is added may lie among other channels
  // of the same memory as the input, which other pieces would fill meanwhile.
  Dressing dressing = Dressing::kThere;
  const Layout seen{input_image, choice.input, {}}, made{output_image, choice.output, {}};
  const bool turned =
      by_channels && choice.place >= 0 && end.residual < 0 && is_turned(kernels_, convolution, seen, made);
  if (turned || (by_channels && choice.place >= 0 && is_copied(convolution, choice.input, choice.output)))
    dressing = Dressing::kCopied;
  else if (by_channels && choice.place >= 0 && end.residual < 0)
    dressing = Dressing::kFilled;
  const Halo around = choice.halo;
  if (dressing == Dressing::kCopied) choice.halo = {};
  const Place from = dressing == Dressing::kThere ? ready(node, choice, input, input_image, 0.0f, pads)
                                                  : placed(choice, input, input_image, 0.0f);
  const Place to = new_place(output_image, choice.output);
  value(output).places.push_back(to);
  std::vector<int> reads{from.buffer}, writes{to.buffer};
  if (scaled) reads.insert(reads.end(), scaled->reads.begin(), scaled->reads.end());
  if (end.residual >= 0) reads.push_back(end.residual);
  const Size useful = convolution.weight->kept * output_image.count * output_image.pixels();
  const char* kind = tables ? "tables" : name(way);
  double taken = cycles(layout(to.layout));
  if (scaled) taken += entries_cycles(layout(from.layout), kCyclesPerScaled);
  if (turned)
    taken = turned_depthwise_cycles(kernels_, convolution, seen, made);
  else if (dressing != Dressing::kThere)
    taken += halo_cycles(layout(from.layout), around);
  if (dressing == Dressing::kFilled) writes.push_back(from.buffer);
  for (const Node* reader : readers_[static_cast<std::size_t>(output)]) {
    if (!by_channels || end.average >= 0 || !averages_pictures(*reader)) continue;
    end.average = value(reader->output).plain = arena(product(shape(reader->output)));
    writes.push_back(end.average);
    done(*reader);
  }
  draft(
      &node, kind, reads, writes, taken,
      [=] {
        Ending finished = end;
        if (residual_layout >= 0) finished.residual_layout = layout(residual_layout);
        if (turned)
          return make_turned_depthwise(kernels_, convolution, from.buffer, layout(from.layout), to.buffer,
                                       layout(to.layout), finished);
        if (by_channels)
          return make_depthwise_convolution(kernels_, convolution, from.buffer, layout(from.layout), to.buffer,
                                            layout(to.layout), finished, dressing, options_.threads);
        const bool uses_tables = tables && offsets_fit(convolution, layout(from.layout));
        const auto make = uses_tables ? make_table_convolution : make_convolution;
        return make(kernels_, convolution, from.buffer, layout(from.layout), to.buffer, layout(to.layout), finished,
                    options_.threads);
      },
      useful);
  return true;
}

bool Planner::residual_tiling(const Node& node, Tiling& tiling) {
  const Node* reader = only_reader(node.output);
  if (!reader || reader->op != Operator::kAdd) return false;
  const int other = reader->inputs[0] == node.output ? reader->inputs[1] : reader->inputs[0];
  if (graph_.is_constant(other) || !known_by_now(other) || value(other).places.empty()) return false;
  tiling = layout(value(other).places.front().layout).tiling;
  return true;
}

void Planner::rows(const Node& node, Size count) {
  const Constant& weight = graph_.constant(node.inputs[1]);
  const Constant* bias = node.inputs.size() > 2 ? &graph_.constant(node.inputs[2]) : nullptr;
  int output = node.output, residual_layout = -1;
  const Ending end = ending(nullptr, output, residual_layout);
  const int from = plain(node.inputs[0]), to = arena(product(shape(output)));
  value(output).plain = to;
  if (prefers_tables(weight, 1)) {
    draft(
        &node, "table rows", {from}, {to}, table_rows_cycles(weight, count),
        [=, &weight] { return make_table_rows(kernels_, weight, bias, count, from, to, end); },
        weight.entries() * count);
    return;
  }
  draft(
      &node, prefers_dense_rows(weight) ? "dense rows" : "sparse rows", {from}, {to},
      RowMatrix::cycles(kernels_, weight) * static_cast<double>(count),
      [=, &weight] { return make_rows(kernels_, weight, bias, count, from, to, end, options_.threads); },
      weight.kept * count);
}

const Node* Planner::times_own_sigmoid(int number) const {
  const std::vector<const Node*>& readers = readers_[static_cast<std::size_t>(number)];
  if (readers.size() != 2 || is_output(number)) return nullptr;
  const bool first = readers[0]->op == Operator::kSigmoid;
  const Node *sigmoid = readers[first ? 0 : 1], *product = readers[first ? 1 : 0];
  const bool fits = sigmoid->op == Operator::kSigmoid && product->op == Operator::kMul &&
                    only_reader(sigmoid->output) == product && shape(number) == shape(product->output);
  return fits ? product : nullptr;
}

Ending Planner::ending(const Tiling* tiling, int& output, int& residual_layout, bool activates) {
  Ending result;
  for (;;) {
    const Node* reader = only_reader(output);
    if (const Node* product = activates && !reader ? times_own_sigmoid(output) : nullptr) {
      for (const Node* node : readers_[static_cast<std::size_t>(output)])
        done_[static_cast<std::size_t>(node - nodes_.data())] = true;
      result.activation = AppliedFunction{Function::kSilu};
      output = product->output;
      return result;
    }
    if (!reader) return result;
    if (activates && is_entrywise(reader->op) && !is_clip(*reader)) {
      const auto function = plain::kernel_function(*reader);
      if (!function) return result;
      result.activation = function->activation;
      output = reader->output;
      done_[static_cast<std::size_t>(reader - nodes_.data())] = true;
      return result;
    }
    if (is_clip(*reader)) {
      result.clips = true;
      const bool relu = reader->op == Operator::kRelu;
      result.low = relu ? 0.0f : reader->attributes.number(AttributeName::kMinimum);
      result.high = relu ? std::numeric_limits<float>::infinity() : reader->attributes.number(AttributeName::kMaximum);
      output = reader->output;
      done_[static_cast<std::size_t>(reader - nodes_.data())] = true;
      return result;
    }
    if (reader->op != Operator::kAdd || result.residual >= 0 || !tiling) return result;
    const int other = reader->inputs[0] == output ? reader->inputs[1] : reader->inputs[0];
    if (other == output || graph_.is_constant(other) || shape(other) != shape(output) || !known_by_now(other))
      return result;
    const int found = place_with(other, *tiling);
    const Place place = found >= 0 ? value(other).places[static_cast<std::size_t>(found)]
                                   : gathered(other, Image::of(shape(other)), *tiling, {}, 0.0f);
    result.residual = place.buffer;
    residual_layout = place.layout;
    output = reader->output;
    done_[static_cast<std::size_t>(reader - nodes_.data())] = true;
  }
}

}  // namespace netsurgery
