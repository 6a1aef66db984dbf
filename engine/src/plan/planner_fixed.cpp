// Values in fixed point: where layers can add whole numbers of 16 bits.
//
// Which values lie on a grid follows from the graph (netsurgery/graph/fixed_point.py says how). As every number on the
// way is exact, floats would give the same bits: to go this way or that is a choice of speed alone.
#include <algorithm>
#include <cmath>
#include <limits>

#include "lanes/fixed_average.hpp"
#include "lanes/fixed_depthwise.hpp"
#include "lanes/fixed_movement.hpp"
#include "lanes/fixed_point.hpp"
#include "lanes/fixed_tables.hpp"
#include "lanes/movement.hpp"
#include "lanes/requantization.hpp"
#include "plan/planner.hpp"

namespace netsurgery {
namespace {

constexpr double kDensest = 0.6;         // of whole weights: others are products that take every weight
constexpr double kCyclesPerRounded = 8;  // of a vector
constexpr double kCyclesPerSummed = 4;   // the same
// Images in a vector, for layers of one output pixel: tiles beside it would be computed for nothing.
constexpr Size kFewestForWholePictures = kShorts;
constexpr Size kWidestHalo = 8;  // on a side
constexpr double kExact = 16777216.0;
const double kTooLarge = std::ldexp(1.0, 127);  // for float32, with room for what is rounded
constexpr std::int16_t kBelowAll = std::numeric_limits<std::int16_t>::min();

/// A layout with the largest halo that readers may ask for.
Layout widest(const Layout& given) {
  Layout layout = given;
  layout.halo = {kWidestHalo, kWidestHalo, kWidestHalo, kWidestHalo, kWidestHalo, kWidestHalo};
  if (given.image.depth == 1) layout.halo.front = layout.halo.back = given.halo.front + given.halo.back;
  return layout;
}

/// The limits of a Quantize or QuantizePlanes.
Size highest_of(const Node& node) {
  const Size bits = node.attributes.integer(AttributeName::kBits);
  return (Size{1} << (node.attributes.flag(AttributeName::kSigned) ? bits - 1 : bits)) - 1;
}
Size lowest_of(const Node& node) { return node.attributes.flag(AttributeName::kSigned) ? -highest_of(node) : 0; }

/// True if every window of a pool sees an entry: one that sees none gives -infinity, which lies on no grid. Pads are
/// shorter than windows, so that only places further apart than an axis is long can miss it.
bool sees_entries(const Node& pool, const Shape& x) {
  const std::vector<Size>& dilations = pool.attributes.integers(AttributeName::kDilations);
  for (std::size_t i = 0; i < dilations.size(); ++i)
    if (dilations[i] > x[2 + i]) return false;
  return true;
}

/// Rows of a weight whose sums become one number of a Quantize or QuantizePlanes.
Size planes_of(const Node& quantize) {
  return quantize.op == Operator::kQuantizePlanes ? quantize.attributes.integer(AttributeName::kPlanes) : 1;
}

/// What a Quantize or QuantizePlanes makes of sums of a magnitude of at most `largest`, in units of the grid of
/// `seen_exponent`. False if products or sums are too large for float32, as they are or counted in units of what is
/// made: one of the two would be infinite and the other not. (Those too small for it are nothing beside half a unit.)
bool ending_of(const Graph& graph, const Node& quantize, Size rows, double largest, int seen_exponent,
               FixedEnding& ending) {
  const int made_exponent = static_cast<int>(quantize.attributes.integer(AttributeName::kExponent));
  const std::size_t planes = static_cast<std::size_t>(planes_of(quantize)), all = static_cast<std::size_t>(rows);
  const auto operand = [&](std::size_t place, std::size_t count, float otherwise) {
    return place < quantize.inputs.size() && quantize.inputs[place] != kLeftOut
               ? graph.constant(quantize.inputs[place]).dense()
               : std::vector<float>(count, otherwise);
  };
  ending.scale = operand(1, all, 1.0f);
  ending.shift = operand(2, all / planes, 0.0f);
  for (std::size_t i = 0; i < ending.shift.size(); ++i) {
    double sum = std::abs(static_cast<double>(ending.shift[i]));
    for (std::size_t row = i * planes; row < (i + 1) * planes; ++row) {
      sum += std::ldexp(largest, seen_exponent) * std::abs(static_cast<double>(ending.scale[row]));
      ending.scale[row] = std::ldexp(ending.scale[row], seen_exponent - made_exponent);
      if (!std::isfinite(ending.scale[row])) return false;
    }
    if (!(std::max(sum, std::ldexp(sum, -made_exponent)) < kTooLarge)) return false;
    ending.shift[i] = std::ldexp(ending.shift[i], -made_exponent);
  }
  ending.low = static_cast<float>(lowest_of(quantize));
  ending.high = static_cast<float>(highest_of(quantize));
  return true;
}

/// Between which numbers of a grid a Relu or Clip cuts; false if it cuts elsewhere, or isn't one.
bool cut_between(const Node& node, int exponent, double& low, double& high) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  if (node.op != Operator::kRelu && node.op != Operator::kClip) return false;
  const bool relu = node.op == Operator::kRelu;
  low = relu ? 0 : std::ldexp(static_cast<double>(node.attributes.number(AttributeName::kMinimum)), -exponent);
  high = relu ? kNone : std::ldexp(static_cast<double>(node.attributes.number(AttributeName::kMaximum)), -exponent);
  return low <= high && low == std::floor(low) && high == std::floor(high);
}

}  // namespace

/// True if the halo is narrow, and a channel of all images of a vector can be counted in 32 bits, halos that grow and
/// all.
bool Planner::is_small(const Layout& layout) {
  constexpr double kMost = 1 << 29;
  const Halo& halo = layout.halo;
  const auto grown = [](Size size) { return static_cast<double>(size + 4 * kWidestHalo); };
  return std::max({halo.front, halo.back, halo.above, halo.below, halo.left, halo.right}) <= kWidestHalo &&
         grown(layout.slices()) * grown(layout.rows()) * grown(layout.columns()) *
                 static_cast<double>(layout.tiling.lanes()) <=
             kMost;
}

Planner::Grid Planner::grid_of(const Node& node) const {
  Grid none;
  if (puts_on_grid(node.op))
    return {true, static_cast<int>(node.attributes.integer(AttributeName::kExponent)), lowest_of(node),
            highest_of(node)};
  if (node.inputs.empty() || node.inputs[0] == kLeftOut) return none;
  const Grid first = grids_[static_cast<std::size_t>(node.inputs[0])];
  if (!first.known) return none;
  switch (node.op) {
    case Operator::kMaxPool:
      return sees_entries(node, shape(node.inputs[0])) ? first : none;
    case Operator::kReshape:
    case Operator::kTranspose:
    case Operator::kSlice:
    case Operator::kDepthToSpace:
      return first;
    case Operator::kPad: {
      const bool zeros = node.attributes.choice<PadMode>(AttributeName::kMode) != PadMode::kConstant ||
                         node.attributes.number(AttributeName::kValue) == 0.0f;
      if (!zeros) return none;
      return {true, first.exponent, std::min<Size>(first.low, 0), std::max<Size>(first.high, 0)};
    }
    case Operator::kRelu:
    case Operator::kClip: {
      double low = 0, high = 0;
      if (!cut_between(node, first.exponent, low, high)) return none;
      const auto cut = [&](Size number) {
        return static_cast<Size>(std::min(std::max(static_cast<double>(number), low), high));
      };
      return {true, first.exponent, cut(first.low), cut(first.high)};
    }
    case Operator::kConcat: {
      Grid together = first;
      for (const int input : node.inputs) {
        const Grid& other = grids_[static_cast<std::size_t>(input)];
        if (!other.known || other.exponent != first.exponent) return none;
        together.low = std::min(together.low, other.low);
        together.high = std::max(together.high, other.high);
      }
      return together;
    }
    default:
      return none;
  }
}

Planner::Grid Planner::sum_of(const Grid& a, const Grid& b) {
  const int exponent = std::min(a.exponent, b.exponent);
  const auto counted = [exponent](const Grid& grid, Size number) {
    return std::ldexp(static_cast<double>(number), grid.exponent - exponent);
  };
  const double low = counted(a, a.low) + counted(b, b.low), high = counted(a, a.high) + counted(b, b.high);
  if (std::max(-low, high) > static_cast<double>(kLargestShort)) return {};
  return {true, exponent, static_cast<Size>(low), static_cast<Size>(high)};
}

const Node* Planner::quantized(int number, Operator op) const {
  const Node* reader = only_reader(number);
  const bool fits = reader && reader->op == op && highest_of(*reader) <= kLargestShort &&
                    reader->attributes.integer(AttributeName::kAxis) == 1;
  return fits ? reader : nullptr;
}

Planner::Place Planner::fixed_placed(const Choice& choice, int input, const Image& image, std::int16_t outside) {
  if (choice.place < 0) {
    const bool moves = !value(input).fixed.empty();
    const Place there = moves ? value(input).fixed.front() : Place{-1, -1};
    const Grid grid = grids_[static_cast<std::size_t>(input)];
    const bool rounds = value(input).plain < 0 && outside >= grid.low;
    const int source = rounds ? value(input).rounded_from : -1;
    const int from = moves ? there.buffer : plain(source >= 0 ? source : input);
    const Place to = new_place(image, choice.input, choice.halo);
    if (choice.input.covers(image)) value(input).fixed.push_back(to);
    if (moves) {
      draft(maker(input), "fixed move", {from}, {to.buffer}, fixed_move_cycles(layout(to.layout)), [=] {
        return make_fixed_move(kernels_, from, layout(there.layout), to.buffer, layout(to.layout), outside);
      });
      return to;
    }
    const FixedRounding rounding{std::ldexp(1.0f, -grid.exponent),
                                 static_cast<float>(std::min<Size>(grid.low, outside)), static_cast<float>(grid.high)};
    draft(maker(input), "fixed gather", {from}, {to.buffer}, fixed_gather_cycles(layout(to.layout)),
          [=] { return make_fixed_gather(kernels_, from, to.buffer, layout(to.layout), rounding, outside); });
    return to;
  }
  const Place place = value(input).fixed[static_cast<std::size_t>(choice.place)];
  grow(place.layout, choice.halo);
  return place;
}

Planner::Place Planner::fixed_ready(const Node& node, const Choice& choice, int input, const Image& image,
                                    std::int16_t outside, bool sees_outside) {
  const Place place = fixed_placed(choice, input, image, outside);
  if (lacks_halo(choice, place, sees_outside))
    draft(&node, "fixed halo", {place.buffer}, {place.buffer}, halo_cycles(layout(place.layout), choice.halo), [=] {
      return make_fixed_halo(kernels_, place.buffer, layout(place.layout), choice.halo, outside, sees_outside,
                             options_.threads);
    });
  return place;
}

/// What is added to a layer's rounded output before it is rounded again, where that is known by now.
Planner::Added Planner::added_to(const Node& quantize) {
  Added found;
  const Node* add = only_reader(quantize.output);
  if (!add || add->op != Operator::kAdd || add->inputs[0] == add->inputs[1]) return found;
  const int other = add->inputs[add->inputs[0] == quantize.output ? 1 : 0];
  if (graph_.is_constant(other) || shape(other) != shape(quantize.output)) return found;
  const Node* last = quantized(add->output);
  if ((last && last->inputs.size() > 1) || !known_by_now(other) || value(other).fixed.empty()) return found;
  const Grid own = grid_of(quantize), others = grids_[static_cast<std::size_t>(other)];
  const Grid made = last ? grid_of(*last) : sum_of(own, others);
  // Counted in units of the sum's grid, both have to be float32: infinities would cancel out.
  const int coarsest = std::max(own.exponent, others.exponent);
  if (!made.known || std::ldexp(2.0 * kLargestShort, coarsest - made.exponent) >= kTooLarge) return found;
  return {add, last, other, made};
}

bool Planner::fixed_convolution(const Node& node) {
  const Shape& x = shape(node.inputs[0]);
  if (!Image::holds(x) || x.size() < 3) return false;
  const Constant& weight = graph_.constant(node.inputs[1]);
  Convolution convolution{Windows::of(node.attributes, weight.shape.data() + 2, x.size() - 2)};
  convolution.groups = node.attributes.integer(AttributeName::kGroups);
  const Image from = Image::of(x);
  const bool sees_all = convolution.groups == 1 && convolution.is_picture(from, Image::of(shape(node.output)));
  if (sees_all && options_.images < kFewestForWholePictures) return false;
  return fixed_lanes(node, convolution, node.inputs[0], from);
}

bool Planner::fixed_linear(const Node& node) {
  if (shape(node.inputs[0]).size() != 2 || options_.images < kFewestForWholePictures) return false;
  const int source = value(node.inputs[0]).flat_of;
  const int input = source >= 0 ? source : node.inputs[0];
  const Image image = Image::of(shape(input));
  Convolution convolution;
  convolution.kernel_z = image.depth;
  convolution.kernel_y = image.height;
  convolution.kernel_x = image.width;
  return fixed_lanes(node, convolution, input, image);
}

bool Planner::fixed_lanes(const Node& node, Convolution convolution, int input, const Image& from_image) {
  const Constant& weight = graph_.constant(node.inputs[1]);
  const bool tables = weight.form == Constant::Form::kPlanes;
  const Grid seen = grids_[static_cast<std::size_t>(input)];
  const Size largest = std::max(-seen.low, seen.high);
  const Operator ends = tables ? Operator::kQuantizePlanes : Operator::kQuantize;
  const Node* const quantize = options_.whole_numbers ? quantized(node.output, ends) : nullptr;
  if (!seen.known || largest > kLargestShort || largest == 0 || !quantize || node.inputs.size() > 2) return false;
  convolution.weight = &weight;
  const FixedLimits limits = FixedLimits::of(seen.low, seen.high);
  const Size planes = planes_of(*quantize);
  if (tables &&
      (!has_fixed_tables(weight, convolution.groups, limits) || weight.rows / convolution.groups % planes != 0))
    return false;
  if (!tables && (density(weight) > kDensest || !is_whole(weight))) return false;
  const std::vector<double> magnitudes = sums_of_magnitudes(weight);
  const double sums = *std::max_element(magnitudes.begin(), magnitudes.end()) * static_cast<double>(largest);
  const std::vector<double> largest_sums = tables ? std::vector<double>() : reaches(weight, limits);
  FixedEnding ending;
  if (sums >= kExact || !ending_of(graph_, *quantize, weight.rows, sums, seen.exponent, ending)) return false;
  const Image to_image = Image::of(shape(quantize->output));
  FixedEnding in_shorts = ending;
  if (!tables) put_short_factors(in_shorts, largest_sums);
  const bool is_short =
      std::any_of(in_shorts.factor.begin(), in_shorts.factor.end(), [](std::int16_t factor) { return factor != 0; });
  const auto cycles = [&](const Layout& output) {
    return tables ? fixed_table_cycles(convolution, limits, planes, output)
                  : fixed_convolution_cycles(kernels_, convolution, output, is_short);
  };
  Added added = added_to(*quantize);
  Place residual = added.add ? value(added.other).fixed.front() : Place{-1, -1};
  const Tiling wanted = added.add ? layout(residual.layout).tiling : Tiling{};
  const Choice choice = choose(node, convolution, input, from_image, to_image, options_.images,
                               added.add ? &wanted : nullptr, cycles, true);
  const Layout estimated{from_image, choice.input, choice.halo};
  if (std::isinf(choice.cycles) || is_wasteful(estimated, from_image, to_image)) return false;
  const auto fits = tables ? offsets_fit : fixed_offsets_fit;
  if (!is_small(estimated) || !fits(convolution, widest(estimated))) return false;
  if (added.add && choice.output != wanted) {
    const int there = place_in(value(added.other).fixed, choice.output);
    Choice moved{there, choice.output, choice.output, {}, 0};
    residual = fixed_ready(node, moved, added.other, to_image, 0, false);
  }

  const Grid made = grid_of(*quantize);
  int output = quantize->output;
  done(*quantize);
  grids_[static_cast<std::size_t>(output)] = made;
  if (!added.add) take_cuts(output, ending.low, ending.high);
  if (!tables) put_short_factors(ending, largest_sums);
  if (added.add) {
    const Grid& last = added.made;
    ending.residual = residual.buffer;
    ending.own_factor = std::ldexp(1.0f, made.exponent - last.exponent);
    ending.residual_factor = std::ldexp(1.0f, grids_[static_cast<std::size_t>(added.other)].exponent - last.exponent);
    ending.last_low = static_cast<float>(last.low);
    ending.last_high = static_cast<float>(last.high);
    output = added.last ? added.last->output : added.add->output;
    done(*added.add);
    if (added.last) done(*added.last);
    grids_[static_cast<std::size_t>(output)] = last;
    take_cuts(output, ending.last_low, ending.last_high);
    const Grid& other = grids_[static_cast<std::size_t>(added.other)];
    if (!tables)
      put_short_residual(ending, made.exponent, other.exponent, last.exponent, std::max(-other.low, other.high));
  }
  const bool pads = choice.halo.any() || convolution.sees_outside(from_image, to_image);
  const Place from = fixed_ready(node, choice, input, from_image, 0, pads);
  const Place to = new_place(to_image, choice.output);
  value(output).fixed.push_back(to);
  std::vector<int> reads{from.buffer};
  if (ending.residual >= 0) reads.push_back(ending.residual);
  draft(
      &node, tables ? "fixed tables" : "fixed lanes", reads, {to.buffer}, cycles(layout(to.layout)),
      [=] {
        FixedEnding finished = ending;
        if (finished.residual >= 0) finished.residual_layout = layout(residual.layout);
        if (tables)
          return make_fixed_tables(kernels_, convolution, limits, planes, from.buffer, layout(from.layout), to.buffer,
                                   layout(to.layout), finished, options_.threads);
        return make_fixed_convolution(kernels_, convolution, limits, from.buffer, layout(from.layout), to.buffer,
                                      layout(to.layout), finished, options_.threads);
      },
      weight.kept * to_image.count * to_image.pixels());
  return true;
}

void Planner::take_cuts(int& output, float& low, float& high) {
  for (;;) {
    const Node* reader = only_reader(output);
    double least = 0, most = 0;
    const Grid& grid = grids_[static_cast<std::size_t>(output)];
    if (!reader || !cut_between(*reader, grid.exponent, least, most)) return;
    const auto cut = [&](float limit) {
      return static_cast<float>(std::min(std::max(static_cast<double>(limit), least), most));
    };
    if (std::max(std::abs(cut(low)), std::abs(cut(high))) > static_cast<float>(kLargestShort)) return;
    low = cut(low);
    high = cut(high);
    const Grid made = grid_of(*reader);
    output = reader->output;
    grids_[static_cast<std::size_t>(output)] = made;
    done(*reader);
  }
}

bool Planner::rounded(const Node& node) {
  const int input = node.inputs[0];
  const bool scales = std::any_of(node.inputs.begin() + 1, node.inputs.end(), [](int one) { return one != kLeftOut; });
  if (!options_.whole_numbers || scales || graph_.is_constant(input) || highest_of(node) > kLargestShort) return false;
  if (value(input).plain < 0 || is_output(node.output) || !Image::holds(shape(input))) return false;
  value(node.output).rounded_from = input;
  return true;
}

bool Planner::quantize(const Node& node) {
  const int input = node.inputs[0];
  if (graph_.is_constant(input) || value(input).places.empty() || highest_of(node) > kLargestShort) return false;
  if (node.attributes.integer(AttributeName::kAxis) != 1) return false;
  const Place from = value(input).places.front();
  const Layout lies = layout(from.layout);
  const auto numbers = [&](std::size_t place, float otherwise) {
    return place < node.inputs.size() && node.inputs[place] != kLeftOut
               ? graph_.constant(node.inputs[place]).dense()
               : std::vector<float>(static_cast<std::size_t>(lies.image.channels), otherwise);
  };
  const int exponent = static_cast<int>(node.attributes.integer(AttributeName::kExponent));
  const ChannelRounding rounding{numbers(1, 1.0f),
                                 numbers(2, 0.0f),
                                 std::ldexp(1.0f, -exponent),
                                 std::ldexp(1.0f, exponent),
                                 static_cast<float>(lowest_of(node)),
                                 static_cast<float>(highest_of(node))};
  const Place to = new_place(lies.image, lies.tiling);
  value(node.output).places.push_back(to);
  draft(&node, "rounding", {from.buffer}, {to.buffer}, entries_cycles(lies, kCyclesPerRounded), [=] {
    return make_quantized(kernels_, rounding, {from.buffer, layout(from.layout)}, {to.buffer, layout(to.layout)});
  });
  return true;
}

bool Planner::fixed_depthwise(const Node& node) {
  const int input = node.inputs[0];
  const Grid seen = grids_[static_cast<std::size_t>(input)];
  const Size largest = std::max(-seen.low, seen.high);
  const Shape& x = shape(input);
  const Node* const quantize = options_.whole_numbers ? quantized(node.output) : nullptr;
  if (!seen.known || largest > kLargestShort || !quantize || x.size() != 4) return false;
  if (value(input).fixed.empty() && value(input).rounded_from < 0) return false;
  const Constant& weight = graph_.constant(node.inputs[1]);
  const Constant* const bias = node.inputs.size() > 2 ? &graph_.constant(node.inputs[2]) : nullptr;
  const Image from_image = Image::of(x), to_image = Image::of(shape(node.output));
  Convolution convolution{Windows::of(node.attributes, weight.shape.data() + 2, x.size() - 2)};
  convolution.weight = &weight;
  convolution.groups = node.attributes.integer(AttributeName::kGroups);
  if (!is_fixed_depthwise(convolution, from_image)) return false;
  const std::vector<double> magnitudes = sums_of_magnitudes(weight);
  const double sums =
      *std::max_element(magnitudes.begin(), magnitudes.end()) * static_cast<double>(std::max<Size>(largest, 1));
  FixedEnding ending;
  if (!(sums < kExact) || !ending_of(graph_, *quantize, weight.rows, sums, seen.exponent, ending)) return false;
  if (bias) {
    if (quantize->inputs.size() > 1) return false;  // what is added first, and multiplied then
    ending.shift = bias->dense();
    const int made_exponent = grid_of(*quantize).exponent;
    for (float& shift : ending.shift) {
      shift = std::ldexp(shift, -made_exponent);
      if (!(std::abs(shift) < static_cast<float>(kTooLarge))) return false;
    }
  }
  const bool whole = is_whole(weight);
  const FixedLimits limits = FixedLimits::of(seen.low, seen.high);
  const std::vector<double> largest_sums = whole ? reaches(weight, limits) : std::vector<double>();
  const bool in_shorts = whole && *std::max_element(largest_sums.begin(), largest_sums.end()) <= kLargestShort;
  const auto cycles = [&](const Layout& output) { return fixed_depthwise_cycles(convolution, output, in_shorts); };
  const Choice choice = choose(node, convolution, input, from_image, to_image, options_.images, nullptr, cycles, true);
  const Layout estimated{from_image, choice.input, choice.halo};
  if (std::isinf(choice.cycles) || is_wasteful(estimated, from_image, to_image) || !is_small(estimated)) return false;
  int output = quantize->output;
  const Grid made = grid_of(*quantize);
  done(*quantize);
  grids_[static_cast<std::size_t>(output)] = made;
  take_cuts(output, ending.low, ending.high);
  if (whole) put_short_factors(ending, largest_sums);
  const bool pads = choice.halo.any() || convolution.sees_outside(from_image, to_image);
  const Place from = fixed_placed(choice, input, from_image, 0);
  const Place to = new_place(to_image, choice.output);
  value(output).fixed.push_back(to);
  std::vector<int> writes{to.buffer};
  double taken = cycles(layout(to.layout));
  const bool lacks = lacks_halo(choice, from, pads);
  if (lacks) {
    writes.push_back(from.buffer);
    taken += halo_cycles(layout(from.layout), choice.halo);
  }
  draft(
      &node, in_shorts ? "fixed depthwise" : "rounded depthwise", {from.buffer}, writes, taken,
      [=] {
        std::unique_ptr<Surroundings> around;
        if (lacks) around = make_fixed_surroundings(kernels_, from.buffer, layout(from.layout), choice.halo, 0, pads);
        return make_fixed_depthwise(kernels_, convolution, limits, from.buffer, layout(from.layout), to.buffer,
                                    layout(to.layout), ending, std::move(around), options_.threads);
      },
      weight.kept * to_image.count * to_image.pixels());
  return true;
}

bool Planner::fixed_pool(const Node& node) {
  const int input = node.inputs[0];
  const Shape& x = shape(input);
  if (value(input).fixed.empty() || x.size() > 4 || !grids_[static_cast<std::size_t>(node.output)].known) return false;
  const Image from_image = Image::of(x), to_image = Image::of(shape(node.output));
  const Windows windows =
      Windows::of(node.attributes, node.attributes.integers(AttributeName::kKernel).data(), x.size() - 2);
  const double taps = static_cast<double>(windows.taps());
  const Choice choice = choose(
      node, windows, input, from_image, to_image, options_.images, nullptr,
      [&](const Layout& layout) { return taps * static_cast<double>(layout.floats()) / kVector; }, true);
  const Layout estimated{from_image, choice.input, choice.halo};
  if (std::isinf(choice.cycles) || is_wasteful(estimated, from_image, to_image) || !is_small(estimated)) return false;
  const Place from = fixed_ready(node, choice, input, from_image, kBelowAll, true);
  const Place to = new_place(to_image, choice.output);
  value(node.output).fixed.push_back(to);
  draft(&node, "fixed pool", {from.buffer}, {to.buffer}, choice.cycles, [=] {
    return make_fixed_pool(kernels_, windows, from.buffer, layout(from.layout), to.buffer, layout(to.layout));
  });
  return true;
}

bool Planner::fixed_average(const Node& node) {
  const int input = node.inputs[0];
  const Grid& grid = grids_[static_cast<std::size_t>(input)];
  if (!averages_pictures(node) || value(input).fixed.empty()) return false;
  if (!has_fixed_average(Image::of(shape(input)))) return false;
  const Place from = value(input).fixed.front();
  const double unit = std::ldexp(1.0, grid.exponent);
  const int to = arena(product(shape(node.output)));
  value(node.output).plain = to;
  const double vectors = static_cast<double>(layout(from.layout).floats()) / kVector;
  draft(&node, "fixed average", {from.buffer}, {to}, kCyclesPerSummed * vectors,
        [=] { return make_fixed_average(kernels_, from.buffer, layout(from.layout), unit, to); });
  return true;
}

}  // namespace netsurgery
