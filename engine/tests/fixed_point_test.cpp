// Whole numbers of 16 bits in lanes: every instruction set gives what the definition of each step says, for numbers
// that are chosen against it.
#include "lanes/fixed_point.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <new>
#include <random>
#include <vector>

#include "check.hpp"
#include "lanes/fixed_average.hpp"
#include "lanes/fixed_depthwise.hpp"
#include "lanes/fixed_movement.hpp"
#include "lanes/fixed_tables.hpp"
#include "lanes/movement.hpp"
#include "lanes/requantization.hpp"

using namespace netsurgery;

namespace {

using Short = std::int16_t;
constexpr Short kUntouched = -21846;
constexpr double kExact = 16777216.0;  // every sum that a plan lets through is below

std::mt19937 generator(1);

Size any(Size low, Size high) { return std::uniform_int_distribution<Size>(low, high)(generator); }
bool one_in(Size count) { return any(1, count) == 1; }

/// Memory of its own for a layout, aligned as buffers are; sanitizers see what goes beyond.
class Lanes {
 public:
  explicit Lanes(const Layout& layout) : layout_(layout), size_(static_cast<std::size_t>(2 * layout.floats())) {
    memory_ = static_cast<Short*>(::operator new(size_ * sizeof(Short), std::align_val_t(kAlignment)));
    std::fill_n(memory_, size_, kUntouched);
  }
  ~Lanes() { ::operator delete(memory_, std::align_val_t(kAlignment)); }
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  const Layout& layout() const { return layout_; }
  float* buffer() { return reinterpret_cast<float*>(memory_); }
  Short* begin() { return memory_; }
  Short* end() { return memory_ + size_; }
  Short* at(Size group, Size z, Size y, Size channel, Size x) {
    return memory_ + 2 * layout_.at(group, z, y, channel, x);
  }

 private:
  Layout layout_;
  std::size_t size_;
  Short* memory_;
};

/// The pieces of a step, last one first: they don't depend on each other.
void run(const Step& step, const std::vector<float*>& buffers) {
  struct alignas(kAlignment) Aligned {
    float values[kVector];
  };
  std::vector<Aligned> scratch(static_cast<std::size_t>(ceil_divided(step.scratch(), kVector)));
  for (Size first = 0; first < step.pieces(); first += step.pieces_at_once())
    for (Size piece = first + step.pieces_at_once(); piece-- > first;)
      step.run(buffers.data(), piece, piece + 1, reinterpret_cast<float*>(scratch.data()));
}

/// The number of vectors in a group, each at its pixel of the tile, in all groups and channels.
void for_each_vector(const Layout& layout, const std::function<void(Size, Size, Size, Size, Size)>& visit) {
  for (Size group = 0; group < layout.groups(); ++group)
    for (Size z = 0; z < layout.tiling.depth; ++z)
      for (Size y = 0; y < layout.tiling.height; ++y)
        for (Size channel = 0; channel < layout.image.channels; ++channel)
          for (Size x = 0; x < layout.tiling.width; ++x) visit(group, z, y, channel, x);
}

Layout layout_of(const Image& image, const Tiling& tiling) {
  Layout layout;
  layout.image = image;
  layout.tiling = tiling;
  return layout;
}

/// Rounded to float32, whatever the compiler would like to do at once with what follows.
float product(float a, float b) {
  volatile float result = a * b;
  return result;
}
float sum(float a, float b) {
  volatile float result = a + b;
  return result;
}

/// Quantize's rounding, in units of its grid; ties to even.
float on_grid(float x, float low, float high) { return std::min(std::max(std::nearbyint(x), low), high); }

Short finished(std::int64_t whole, const FixedEnding& ending, std::size_t channel, float residual) {
  CHECK(std::abs(static_cast<double>(whole)) < kExact);
  const float scaled = product(static_cast<float>(whole), ending.scale[channel]);
  float made = on_grid(sum(scaled, ending.shift[channel]), ending.low, ending.high);
  if (ending.residual >= 0)
    made = on_grid(sum(product(made, ending.own_factor), product(residual, ending.residual_factor)), ending.last_low,
                   ending.last_high);
  return static_cast<Short>(made);
}

/// A weight of which the test keeps every entry in view.
struct Weight {
  Constant constant;
  std::vector<float> entries;
  float at(Size row, Size column) const { return entries[static_cast<std::size_t>(row * constant.columns + column)]; }
};

/// Powers of two up to 2^highest, rows of none, one, some and all connections; no sum of a row's inputs reaches 2^24.
Weight weight_of(Size rows, Size columns, int highest, Size largest, bool sparse) {
  Weight weight;
  weight.entries.assign(static_cast<std::size_t>(rows * columns), 0.0f);
  for (Size row = 0; row < rows; ++row) {
    const Size kind = any(0, 3);  // none, one, about a fifth, all
    const Size single = any(0, columns - 1);
    double total = 0;
    for (Size column = 0; column < columns; ++column) {
      if (kind == 0 || (kind == 1 && column != single) || (kind == 2 && !one_in(5))) continue;
      const float power = std::ldexp(1.0f, static_cast<int>(any(0, highest)));
      if ((total + power) * static_cast<double>(largest) >= kExact) continue;
      total += power;
      weight.entries[static_cast<std::size_t>(row * columns + column)] = one_in(2) ? -power : power;
    }
  }
  Constant& made = weight.constant;
  made.rows = rows;
  made.columns = columns;
  made.form = sparse ? Constant::Form::kSparse : Constant::Form::kDense;
  made.start.push_back(0);
  for (Size row = 0; row < rows; ++row) {
    for (Size column = 0; column < columns; ++column) {
      const float value = weight.at(row, column);
      made.kept += value != 0.0f;
      if (!sparse) made.values.push_back(value);
      if (!sparse || value == 0.0f) continue;
      made.values.push_back(value);
      made.column.push_back(static_cast<std::uint32_t>(column));
    }
    made.start.push_back(static_cast<std::uint32_t>(made.values.size()));
  }
  if (!sparse) made.start.clear();
  return weight;
}

/// A convolution, where its input and its output lie, and every window's inputs by the definition.
struct Case {
  Weight weight;
  Convolution convolution;
  Layout input, output, residual;

  Size channels_of_group() const { return input.image.channels / convolution.groups; }

  Short* seen(Lanes& x, Size group, Size z, Size y, Size column_of_output, Size row, Size column) const {
    const Convolution& all = convolution;
    const Size of_group = weight.constant.rows / all.groups;
    const Size channel = row / of_group * channels_of_group() + column / all.taps(), tap = column % all.taps();
    const Size kz = tap / (all.kernel_y * all.kernel_x), ky = tap / all.kernel_x % all.kernel_y,
               kx = tap % all.kernel_x;
    return x.at(group, z * all.stride_z + kz * all.dilation_z - all.pad_front,
                y * all.stride_y + ky * all.dilation_y - all.pad_above, channel,
                column_of_output * all.stride_x + kx * all.dilation_x - all.pad_left);
  }
};

struct Axes {
  Size depth, height, width;
};

/// inputs, outputs: of each group; 0: a few.
Case case_of(const Axes& tile, Size stride, int highest, Size largest, bool groups, Size inputs = 0,
             Size outputs_of_group = 0) {
  Case made;
  Convolution& convolution = made.convolution;
  const bool volume = tile.depth > 1;
  convolution.kernel_x = any(1, 3);
  convolution.kernel_y = any(1, 3);
  convolution.kernel_z = volume ? any(1, 2) : 1;
  convolution.stride_x = stride;
  convolution.stride_y = any(1, 2);
  convolution.dilation_x = any(1, 2);
  convolution.dilation_y = any(1, 2);
  convolution.pad_left = any(0, convolution.kernel_x - 1);
  convolution.pad_above = any(0, convolution.kernel_y - 1);
  convolution.groups = groups ? any(2, 3) : 1;
  const Size channels = inputs > 0 ? inputs : groups ? any(1, 2) : any(1, 9);
  const Size outputs = convolution.groups * (outputs_of_group > 0 ? outputs_of_group : any(1, 5));
  made.weight = weight_of(outputs, channels * convolution.taps(), highest, largest, one_in(2));

  const Size images = std::array<Size, 3>{32, 8, 1}[static_cast<std::size_t>(any(0, 2))];
  Tiling tiling{images, 1, images == 32 ? 1 : 2, images == 32 ? 1 : 16 / images, tile.depth, tile.height, tile.width};
  const auto reach = [](Size count, Size stride, Size reach) { return (count - 1) * stride + reach; };
  Image seen_image, made_image;
  seen_image.count = made_image.count = images + any(0, 1);  // the second group is begun, at times
  seen_image.channels = channels * convolution.groups;
  made_image.channels = outputs;
  Tiling before = tiling;
  before.depth = tile.depth * convolution.stride_z;
  before.height = tile.height * convolution.stride_y;
  before.width = tile.width * convolution.stride_x;
  made.input = layout_of(seen_image, before);
  made.output = layout_of(made_image, tiling);
  made.input.halo.left = convolution.pad_left + any(0, 1);
  made.input.halo.above = convolution.pad_above;
  const Size needs_x = reach(tile.width, convolution.stride_x, convolution.reach_x()) - convolution.pad_left;
  const Size needs_y = reach(tile.height, convolution.stride_y, convolution.reach_y()) - convolution.pad_above;
  const Size needs_z = reach(tile.depth, convolution.stride_z, convolution.reach_z());
  made.input.halo.right = std::max<Size>(0, needs_x - before.width);
  made.input.halo.below = std::max<Size>(0, needs_y - before.height);
  made.input.halo.back = std::max<Size>(0, needs_z - before.depth);
  made.residual = made.output;
  made.residual.halo.left = any(0, 2);
  made.output.halo.right = any(0, 2);
  made.output.halo.above = any(0, 1);
  if (one_in(3)) {  // among the channels of other values
    made.output.first_channel = any(0, 2);
    made.output.row_channels = made.output.first_channel + outputs + 1;
  }
  return made;
}

FixedEnding ending_of(const Case& made, Size largest, bool residual) {
  FixedEnding ending;
  for (Size channel = 0; channel < made.weight.constant.rows; ++channel) {
    double total = 1;
    for (Size column = 0; column < made.weight.constant.columns; ++column)
      total += std::abs(made.weight.at(channel, column));
    // A power of two gives ties; others round, so that the largest sums reach the limits and go beyond.
    const double unit = 300.0 / (total * static_cast<double>(largest));
    const double scale = one_in(2) ? std::exp2(std::floor(std::log2(unit))) : unit * static_cast<double>(any(1, 300));
    ending.scale.push_back(static_cast<float>(one_in(9) ? -scale : scale));
    ending.shift.push_back(one_in(3) ? 0.0f : static_cast<float>(any(-4000, 4000)) / 16.0f);
  }
  const bool relu = one_in(2);
  ending.high = one_in(3) ? 32767.0f : 127.0f;
  ending.low = relu ? 0.0f : -ending.high;
  if (residual) {
    ending.residual = 2;
    ending.own_factor = std::ldexp(1.0f, static_cast<int>(any(-3, 1)));
    ending.residual_factor = std::ldexp(1.0f, static_cast<int>(any(-3, 1)));
    ending.last_high = one_in(3) ? 32767.0f : 200.0f;
    ending.last_low = one_in(2) ? 0.0f : -ending.last_high;
  }
  return ending;
}

FixedLimits limits_of(Size largest, bool from_zero = false) {
  return FixedLimits::of(from_zero ? 0 : -largest, largest);
}

/// Everything at its extremes; and in each lane what one window sees, with the signs that make one row's sum largest.
void fill_against(const Case& made, Size largest, Lanes& x, bool from_zero = false) {
  const Size least = from_zero ? 0 : -largest;
  for (Short& one : x) one = static_cast<Short>(one_in(3) ? any(least, largest) : one_in(2) ? largest : least);
  for (Size group = 0; group < x.layout().groups(); ++group)
    for (Size lane = 0; lane < kShorts; ++lane) {
      const Size row = lane % made.weight.constant.rows;
      const Size z = any(0, made.output.tiling.depth - 1), y = any(0, made.output.tiling.height - 1);
      const Size column = any(0, made.output.tiling.width - 1);
      for (Size i = 0; i < made.weight.constant.columns; ++i) {
        const float value = made.weight.at(row, i);
        if (value == 0.0f) continue;
        const bool up = (value > 0) == (group + lane / made.weight.constant.rows % 2 == 0);
        made.seen(x, group, z, y, column, row, i)[lane] = static_cast<Short>(up ? largest : least);
      }
    }
}

void check_convolution(const Kernels& kernels, Case& made, Size largest, FixedEnding ending, int threads,
                       Size largest_added = 32767, bool from_zero = false) {
  made.convolution.weight = &made.weight.constant;
  Lanes x(made.input), y(made.output), added(made.residual);
  fill_against(made, largest, x, from_zero);
  for (Short& one : added) one = static_cast<Short>(any(-largest_added, largest_added));
  ending.residual_layout = made.residual;
  CHECK(is_whole(made.weight.constant));
  CHECK(fixed_offsets_fit(made.convolution, made.input));
  run(*make_fixed_convolution(kernels, made.convolution, limits_of(largest, from_zero), 0, made.input, 1, made.output,
                              ending, threads),
      {x.buffer(), y.buffer(), added.buffer()});
  for_each_vector(made.output, [&](Size group, Size z, Size row, Size channel, Size column) {
    Short* given = y.at(group, z, row, channel, column);
    const Short* other = added.at(group, z, row, channel, column);
    for (Size lane = 0; lane < kShorts; ++lane) {
      std::int64_t whole = 0;
      for (Size i = 0; i < made.weight.constant.columns; ++i)
        if (const float value = made.weight.at(channel, i); value != 0.0f)
          whole += static_cast<std::int64_t>(value) * made.seen(x, group, z, row, column, channel, i)[lane];
      CHECK(given[lane] == finished(whole, ending, static_cast<std::size_t>(channel), other[lane]));
      given[lane] = kUntouched;
    }
  });
  CHECK(std::all_of(y.begin(), y.end(), [](Short one) { return one == kUntouched; }));  // nothing beside it
}

/// All entries of a weight as signs of one plane.
void become_signs(Weight& weight) {
  Constant& made = weight.constant;
  for (float& entry : weight.entries) entry = one_in(2) ? 1.0f : -1.0f;
  made.form = Constant::Form::kPlanes;
  made.planes = 1;
  made.scales.assign(static_cast<std::size_t>(made.rows), 1.0f);
  made.values.clear();
  made.column.clear();
  made.start.clear();
  made.kept = made.rows * made.columns;
  for (const float entry : weight.entries) made.bits.push_back(entry > 0);
}

/// The sums of `planes` rows for each output, at the extremes of their inputs.
void check_tables(const Kernels& kernels, Case& made, Size planes, Size largest, bool residual, int threads,
                  bool from_zero) {
  become_signs(made.weight);
  FixedEnding ending = ending_of(made, largest, residual);
  const Size channels = made.output.image.channels / planes;
  ending.shift.resize(static_cast<std::size_t>(channels));
  made.output.image.channels = made.residual.image.channels = channels;
  made.convolution.weight = &made.weight.constant;
  const FixedLimits limits = limits_of(largest, from_zero);
  CHECK(has_fixed_tables(made.weight.constant, made.convolution.groups, limits));
  Lanes x(made.input), y(made.output), added(made.residual);
  fill_against(made, largest, x, from_zero);
  for (Short& one : added) one = static_cast<Short>(any(-32767, 32767));
  ending.residual_layout = made.residual;
  run(*make_fixed_tables(kernels, made.convolution, limits, planes, 0, made.input, 1, made.output, ending, threads),
      {x.buffer(), y.buffer(), added.buffer()});
  for_each_vector(made.output, [&](Size group, Size z, Size row, Size channel, Size column) {
    Short* given = y.at(group, z, row, channel, column);
    const Short* other = added.at(group, z, row, channel, column);
    for (Size lane = 0; lane < kShorts; ++lane) {
      float total = 0.0f;
      for (Size plane = 0; plane < planes; ++plane) {
        const Size of_weight = channel * planes + plane;
        std::int64_t whole = 0;
        for (Size i = 0; i < made.weight.constant.columns; ++i)
          whole += static_cast<std::int64_t>(made.weight.at(of_weight, i)) *
                   made.seen(x, group, z, row, column, of_weight, i)[lane];
        CHECK(std::abs(static_cast<double>(whole)) < kExact);
        const float scaled = product(static_cast<float>(whole), ending.scale[static_cast<std::size_t>(of_weight)]);
        total = plane == 0 ? scaled : sum(total, scaled);
      }
      float wanted = on_grid(sum(total, ending.shift[static_cast<std::size_t>(channel)]), ending.low, ending.high);
      if (ending.residual >= 0)
        wanted = on_grid(sum(product(wanted, ending.own_factor), product(other[lane], ending.residual_factor)),
                         ending.last_low, ending.last_high);
      CHECK(given[lane] == static_cast<Short>(wanted));
      given[lane] = kUntouched;
    }
  });
  CHECK(std::all_of(y.begin(), y.end(), [](Short one) { return one == kUntouched; }));  // nothing beside it
}

/// Scales and shifts of few digits, as netsurgery/graph/requantization.py makes them, and what 16 bits do with them.
FixedEnding short_ending_of(const Case& made, Size largest, int up, int down) {
  const std::vector<double> sums = reaches(made.weight.constant, limits_of(largest));
  FixedEnding ending;
  ending.high = 127.0f;
  ending.low = one_in(2) ? 0.0f : -ending.high;
  for (const double sum : sums) {
    int doublings = 0;
    while (std::ldexp(std::max(sum, 1.0), doublings + 1) <= 32767 && !one_in(3)) ++doublings;
    const Size digits = any(1, 255), factor = digits << any(0, 6);
    const auto offset = static_cast<double>(any(-3000, 3000));
    ending.scale.push_back(static_cast<float>(std::ldexp(static_cast<double>(factor), doublings - 16)));
    const double shift = (offset * static_cast<double>(factor) + 0.5) / 65536.0 - 0.5;
    ending.shift.push_back(static_cast<float>(shift));
  }
  put_short_factors(ending, sums);
  if (up >= 0) {
    ending.residual = 2;
    const int own_up = up == 0 ? static_cast<int>(any(0, 3)) : 0;
    ending.own_factor = std::ldexp(1.0f, own_up - down);
    ending.residual_factor = std::ldexp(1.0f, up - down);
    ending.last_high = 100.0f;
    ending.last_low = one_in(2) ? 0.0f : -100.0f;
    put_short_residual(ending, own_up, up, down, 32767 >> up);
  }
  return ending;
}

/// Whether two of one layout hold the same.
bool same(Lanes& one, Lanes& other) {
  return std::equal(one.begin(), one.begin() + 2 * one.layout().floats(), other.begin());
}

void sums_that_16_bits_finish_are_those_that_floats_finish(const Kernels& kernels) {
  Size finished_in_shorts = 0;
  for (int repeat = 0; repeat < 300; ++repeat) {
    Case made = case_of({1, any(1, 3), any(1, 9)}, any(1, 3), 3, 127, false);
    const int up = static_cast<int>(any(-1, 4)), down = static_cast<int>(any(0, 5));
    const FixedEnding ending = short_ending_of(made, 127, up, down);
    finished_in_shorts +=
        std::count_if(ending.factor.begin(), ending.factor.end(), [](Short factor) { return factor != 0; });
    check_convolution(kernels, made, 127, ending, 2, up < 0 ? 1 : 32767 >> up);
  }
  CHECK(finished_in_shorts > 300);
}

/// What lies around tiles filled for all channels before, or for some at a time by the step itself.
void check_surroundings(const Kernels& kernels, const Case& made, Size largest, Lanes& x, const FixedEnding& ending) {
  constexpr Short kOutside = 5;
  Lanes filled(made.input), by_maps(made.input), wanted(made.output), given(made.output);
  for (Lanes* const copy : {&filled, &by_maps}) std::copy_n(x.begin(), 2 * made.input.floats(), copy->begin());
  run(*make_fixed_halo(kernels, 0, made.input, made.input.halo, kOutside, true, static_cast<int>(any(1, 4))),
      {filled.buffer()});
  run(*make_fixed_depthwise(kernels, made.convolution, limits_of(largest), 0, made.input, 1, made.output, ending),
      {filled.buffer(), wanted.buffer()});
  run(*make_fixed_depthwise(kernels, made.convolution, limits_of(largest), 0, made.input, 1, made.output, ending,
                            make_fixed_surroundings(kernels, 0, made.input, made.input.halo, kOutside, true),
                            static_cast<int>(any(1, 4))),
      {by_maps.buffer(), given.buffer()});
  CHECK(same(given, wanted));
  CHECK(same(by_maps, filled));
}

/// Of floats, and of 16 bits where these do: channel by channel.
void depthwise_sums_are_exact(const Kernels& kernels) {
  constexpr Size largest = 127;
  for (Size width = 1; width <= 9; ++width)
    for (const Size taps : kFixedDepthwiseTaps)
      for (Size stride = 1; stride <= 2; ++stride) {
        Case made;
        Convolution& convolution = made.convolution;
        convolution.kernel_x = taps;
        convolution.kernel_y = any(1, 5);
        convolution.stride_x = stride;
        convolution.stride_y = any(1, 2);
        convolution.dilation_y = any(1, 2);
        convolution.pad_left = taps / 2;
        convolution.groups = 3;
        made.weight = weight_of(3, convolution.taps(), one_in(2) ? 3 : 9, largest, one_in(2));
        Image image;
        image.count = 33;
        image.channels = 3;
        const Tiling tiling{8, 1, 2, 2, 1, any(1, 3), width};
        Tiling before = tiling;
        before.height *= convolution.stride_y;
        before.width *= stride;
        made.input = layout_of(image, before);
        made.output = layout_of(image, tiling);
        made.input.halo.left = taps / 2 + any(0, 1);
        made.input.halo.right = taps;
        made.input.halo.below = convolution.reach_y();
        convolution.weight = &made.weight.constant;
        CHECK(is_fixed_depthwise(convolution, image));
        Lanes x(made.input), y(made.output);
        fill_against(made, largest, x);
        const std::vector<double> sums = reaches(made.weight.constant, limits_of(largest));
        const bool fits = *std::max_element(sums.begin(), sums.end()) <= kLargestShort;
        const FixedEnding ending =
            fits && one_in(2) ? short_ending_of(made, largest, -1, 0) : ending_of(made, largest, false);
        run(*make_fixed_depthwise(kernels, convolution, limits_of(largest), 0, made.input, 1, made.output, ending),
            {x.buffer(), y.buffer()});
        for_each_vector(made.output, [&](Size group, Size z, Size row, Size channel, Size column) {
          for (Size lane = 0; lane < kShorts; ++lane) {
            std::int64_t whole = 0;
            for (Size i = 0; i < made.weight.constant.columns; ++i)
              if (const float value = made.weight.at(channel, i); value != 0.0f)
                whole += static_cast<std::int64_t>(value) * made.seen(x, group, z, row, column, channel, i)[lane];
            CHECK(y.at(group, z, row, channel, column)[lane] ==
                  finished(whole, ending, static_cast<std::size_t>(channel), 0));
          }
        });
        check_surroundings(kernels, made, largest, x, ending);
      }
}

void sums_are_exact_in_strips_of_every_shape_and_stride(const Kernels& kernels) {
  for (Size height = 1; height <= 5; ++height)
    for (Size width = 1; width <= 9; ++width)
      for (Size stride = 1; stride <= 3; ++stride) {
        Case made = case_of({1, height, width}, stride, 3, 127, false);
        check_convolution(kernels, made, 127, ending_of(made, 127, one_in(2)), static_cast<int>(any(1, 4)));
      }
  for (Size depth = 2; depth <= 4; ++depth) {
    Case made = case_of({depth, any(1, 2), 2}, 1, 3, 127, false);
    check_convolution(kernels, made, 127, ending_of(made, 127, one_in(2)), 2);
  }
}

void sums_are_exact_whatever_the_bounds(const Kernels& kernels) {
  for (const Size largest : {1, 2, 127, 255, 1023, 4095, 16383, 16384, 32767})
    for (const int highest : {0, 1, 3, 7, 9, 15})
      for (const bool groups : {false, true})
        for (int repeat = 0; repeat < 3; ++repeat) {
          Case made = case_of({1, any(1, 2), any(1, 4)}, 1, highest, largest, groups);
          check_convolution(kernels, made, largest, ending_of(made, largest, one_in(2)), static_cast<int>(any(1, 3)));
        }
}

/// So many inputs that they are read in blocks, in which some outputs have no connections.
void sums_are_exact_across_blocks_of_channels(const Kernels& kernels) {
  for (const Size largest : {1, 255, 4095})
    for (int repeat = 0; repeat < 8; ++repeat) {
      Case made;
      const Size channels = any(100, 700), outputs = any(1, 12), width = any(1, 17);
      made.weight = weight_of(outputs, channels, static_cast<int>(any(0, 7)), largest, one_in(2));
      Image image;
      image.count = 32;
      image.width = width;
      image.channels = channels;
      made.input = layout_of(image, {32, 1, 1, 1, 1, 1, width});
      image.channels = outputs;
      made.output = made.residual = layout_of(image, made.input.tiling);
      check_convolution(kernels, made, largest, ending_of(made, largest, one_in(2)), static_cast<int>(any(1, 4)));
    }
}

/// Of layers whose inputs are made bytes of first: from 0 to 255, many, and seen by many outputs.
void sums_of_bytes_are_exact(const Kernels& kernels) {
  for (int repeat = 0; repeat < 24; ++repeat) {
    const bool volume = one_in(4);
    const Axes tile{volume ? any(2, 3) : 1, any(1, 3), any(1, 9)};
    Case made = case_of(tile, any(1, 3), static_cast<int>(any(0, 6)), 255, false, any(50, 90), any(20, 40));
    check_convolution(kernels, made, 255, ending_of(made, 255, one_in(2)), static_cast<int>(any(1, 4)), 32767, true);
  }
}

/// One output of one channel's single input times 1, so that the sum is any number that we like.
struct Single {
  Weight weight = weight_of(1, 1, 0, 1, false);
  Convolution convolution;
  Layout layout;

  explicit Single(Size width) {
    weight.entries = {1.0f};
    weight.constant.values = {1.0f};
    weight.constant.kept = 1;
    convolution.weight = &weight.constant;
    Image image;
    image.count = 32;
    image.width = width;
    layout = layout_of(image, {32, 1, 1, 1, 1, 1, width});
  }
};

void products_and_sums_round_one_after_the_other(const Kernels& kernels) {
  // Rounded once, scale * x + shift would miss the tie that it is meant to give, by what the product was rounded.
  int missed = 0;
  for (int repeat = 0; repeat < 300; ++repeat) {
    Single single(1);
    Lanes x(single.layout), y(single.layout);
    const auto chosen = static_cast<float>(any(100, 2000));
    FixedEnding ending;
    ending.scale = {static_cast<float>(any(1 << 22, 1 << 24)) / static_cast<float>(1 << 25)};
    const float scaled = product(chosen, ending.scale[0]);
    ending.shift = {static_cast<float>(static_cast<double>(any(-3, 3)) + 0.5 - static_cast<double>(scaled))};
    ending.low = -100;
    ending.high = 100;
    std::fill(x.begin(), x.end(), static_cast<Short>(chosen));
    run(*make_fixed_convolution(kernels, single.convolution, limits_of(2000), 0, single.layout, 1, single.layout,
                                ending, 1),
        {x.buffer(), y.buffer()});
    const Short wanted = finished(static_cast<std::int64_t>(chosen), ending, 0, 0);
    CHECK(std::all_of(y.begin(), y.end(), [&](Short one) { return one == wanted; }));
    missed += std::nearbyint(std::fma(chosen, ending.scale[0], ending.shift[0])) != wanted;
  }
  CHECK(missed > 50);
}

void every_number_is_rounded_to_even_and_cut(const Kernels& kernels) {
  constexpr Size kWidth = 65536 / kShorts;
  Single single(kWidth);
  Lanes x(single.layout), y(single.layout), added(single.layout);
  const float infinity = HUGE_VALF, none = std::nanf("");
  for (const float scale : {1.0f, 0.5f, 0.25f, -0.5f, 1.0f / 3, 2.0f, 1e30f, 1e-30f, infinity, none, 0.0f})
    for (const float shift : {0.0f, 0.5f, -0.5f, 1.25f, -1e30f, infinity, none, -0.0f})
      for (const bool residual : {false, true}) {
        FixedEnding ending;
        ending.scale = {scale};
        ending.shift = {shift};
        ending.low = -32767;
        ending.high = 32767;
        if (residual) {
          ending.residual = 2;
          ending.residual_layout = single.layout;
          ending.own_factor = 0.5f;
          ending.residual_factor = 0.25f;
          ending.last_low = -20000;
          ending.last_high = 10000;
        }
        for (Size i = 0; i < 65536; ++i) {
          x.begin()[i] = static_cast<Short>(std::max<Size>(i - 32768, -32767));
          added.begin()[i] = static_cast<Short>(i * 7919 % 65535 - 32767);
        }
        run(*make_fixed_convolution(kernels, single.convolution, limits_of(32767), 0, single.layout, 1, single.layout,
                                    ending, 1),
            {x.buffer(), y.buffer(), added.buffer()});
        for (Size i = 0; i < 65536; ++i) {
          const float scaled = product(x.begin()[i], scale);
          const float made = sum(scaled, shift);
          Short wanted;
          if (std::isnan(made)) {  // Quantize takes NaN for the lowest number
            FixedEnding lowest = ending;
            lowest.scale = {0.0f};
            lowest.shift = {-infinity};
            wanted = finished(0, lowest, 0, added.begin()[i]);
          } else {
            wanted = finished(x.begin()[i], ending, 0, added.begin()[i]);
          }
          CHECK(y.begin()[i] == wanted);
        }
      }
}

Layout picture_of(Size channels) {
  Image image;
  image.count = any(1, 40);
  image.channels = channels;
  image.height = any(1, 13);
  image.width = any(1, 13);
  const Size images = std::array<Size, 4>{32, 8, 2, 1}[static_cast<std::size_t>(any(0, 3))];
  const Size tiles_x = images == 32 ? 1 : std::array<Size, 2>{2, 4}[static_cast<std::size_t>(any(0, 1))];
  const Size tiles_y = 32 / images / tiles_x;
  Layout layout = layout_of(
      image, {images, 1, tiles_y, tiles_x, 1, ceil_divided(image.height, tiles_y), ceil_divided(image.width, tiles_x)});
  layout.halo = {0, 0, any(0, 2), any(0, 2), any(0, 2), any(0, 2)};
  return layout;
}

struct Pictures {
  Image image;
  std::vector<float> values;

  Pictures(const Image& given, int exponent) : image(given) {
    for (Size i = 0; i < image.count * image.channels * image.pixels(); ++i)
      values.push_back(std::ldexp(static_cast<float>(any(-32767, 32767)), exponent));
  }
  float at(Size n, Size channel, Size y, Size x) const {
    return values[static_cast<std::size_t>((n * image.channels + channel) * image.pixels() + image.at(0, y, x))];
  }
};

/// Pixels where they belong, `outside` wherever a picture has none, of the tile and so much around it.
void check_lanes(Lanes& lanes, const Pictures& pictures, const Halo& around, int exponent, Short outside) {
  const Layout& layout = lanes.layout();
  for (Size group = 0; group < layout.groups(); ++group)
    for (Size channel = 0; channel < layout.image.channels; ++channel)
      for (Size y = -around.above; y < layout.tiling.height + around.below; ++y)
        for (Size x = -around.left; x < layout.tiling.width + around.right; ++x)
          for (Size lane = 0; lane < kShorts; ++lane) {
            const Size image = group * layout.tiling.images + layout.lane_image(lane);
            if (image >= layout.image.count) continue;
            const Short given = lanes.at(group, 0, y, channel, x)[lane];
            const bool inside = layout.is_pixel(lane, 0, y, x);
            const float value =
                inside ? pictures.at(image, channel, layout.lane_y(lane) + y, layout.lane_x(lane) + x) : 0.0f;
            CHECK(given == (inside ? static_cast<Short>(std::ldexp(value, -exponent)) : outside));
          }
}

void numbers_come_move_and_go_unchanged(const Kernels& kernels) {
  for (int repeat = 0; repeat < 60; ++repeat) {
    const int exponent = static_cast<int>(any(-12, 3));
    const Layout layout = picture_of(any(1, 9));
    Pictures pictures(layout.image, exponent);
    const Short outside = one_in(2) ? Short{0} : Short{-32768};
    Lanes lanes(layout);
    const FixedRounding rounding{std::ldexp(1.0f, -exponent), -32768.0f, 32767.0f};
    run(*make_fixed_gather(kernels, 0, 1, layout, rounding, outside), {pictures.values.data(), lanes.buffer()});
    check_lanes(lanes, pictures, layout.halo, exponent, outside);

    std::vector<float> back(pictures.values.size());
    run(*make_fixed_scatter(kernels, 0, layout, 1, std::ldexp(1.0f, exponent)), {lanes.buffer(), back.data()});
    CHECK(back == pictures.values);

    Layout target = layout;  // as many images in a vector, other tiles
    std::swap(target.tiling.tiles_x, target.tiling.tiles_y);
    target.tiling.height = ceil_divided(layout.image.height, target.tiling.tiles_y);
    target.tiling.width = ceil_divided(layout.image.width, target.tiling.tiles_x);
    target.halo = {0, 0, any(0, 2), any(0, 2), any(0, 2), any(0, 2)};
    Lanes moved(target);
    run(*make_fixed_move(kernels, 0, layout, 1, target, outside), {lanes.buffer(), moved.buffer()});
    check_lanes(moved, pictures, target.halo, exponent, outside);

    for (Size group = 0; group < layout.groups(); ++group)  // the halo, and what lies outside, is lost
      for (Size channel = 0; channel < layout.image.channels; ++channel)
        for (Size y = -layout.halo.above; y < layout.tiling.height + layout.halo.below; ++y)
          for (Size x = -layout.halo.left; x < layout.tiling.width + layout.halo.right; ++x)
            for (Size lane = 0; lane < kShorts; ++lane) {
              const bool in_tile = y >= 0 && y < layout.tiling.height && x >= 0 && x < layout.tiling.width;
              if (!in_tile || !layout.is_pixel(lane, 0, y, x)) lanes.at(group, 0, y, channel, x)[lane] = kUntouched;
            }
    run(*make_fixed_halo(kernels, 0, layout, layout.halo, outside, true, static_cast<int>(any(1, 4))),
        {lanes.buffer()});
    check_lanes(lanes, pictures, layout.halo, exponent, outside);
  }
}

void pools_take_the_largest_number(const Kernels& kernels) {
  for (int repeat = 0; repeat < 60; ++repeat) {
    Windows windows;
    windows.kernel_y = any(1, 3);
    windows.kernel_x = any(1, 3);
    windows.stride_y = any(1, 3);
    windows.stride_x = any(1, 3);
    windows.dilation_y = any(1, 2);
    windows.dilation_x = any(1, 2);
    windows.pad_above = any(0, windows.kernel_y - 1);
    windows.pad_left = any(0, windows.kernel_x - 1);
    const Tiling tiling{8, 1, 2, 2, 1, any(1, 4), any(1, 9)};
    Tiling before = tiling;
    before.height = tiling.height * windows.stride_y;
    before.width = tiling.width * windows.stride_x;
    Image image;
    image.count = any(1, 17);
    image.channels = any(1, 5);
    Layout input = layout_of(image, before);
    const Layout output = layout_of(image, tiling);
    input.halo.left = windows.pad_left;
    input.halo.above = windows.pad_above;
    input.halo.right = windows.reach_x();
    input.halo.below = windows.reach_y();
    Lanes x(input), y(output);
    for (Short& one : x) one = static_cast<Short>(one_in(4) ? any(-2, 2) : any(-32768, 32767));
    run(*make_fixed_pool(kernels, windows, 0, input, 1, output), {x.buffer(), y.buffer()});
    for_each_vector(output, [&](Size group, Size, Size row, Size channel, Size column) {
      for (Size lane = 0; lane < kShorts; ++lane) {
        Short largest = -32768;
        for (Size ky = 0; ky < windows.kernel_y; ++ky)
          for (Size kx = 0; kx < windows.kernel_x; ++kx)
            largest = std::max(
                largest, x.at(group, 0, row * windows.stride_y + ky * windows.dilation_y - windows.pad_above, channel,
                              column * windows.stride_x + kx * windows.dilation_x - windows.pad_left)[lane]);
        CHECK(y.at(group, 0, row, channel, column)[lane] == largest);
      }
    });
  }
}

void averages_are_those_of_pixels_alone(const Kernels& kernels) {
  for (int repeat = 0; repeat < 60; ++repeat) {
    const Size images = Size{1} << any(0, 5), lanes = kShorts / images, tiles_y = Size{1} << any(0, 5);
    Image image;
    image.count = any(1, 2 * images);
    image.channels = any(1, 35);
    image.height = any(1, 9);
    image.width = any(1, 9);
    Tiling tiling{images, 1, std::min(tiles_y, lanes), 1, 1, 1, 1};
    tiling.tiles_x = lanes / tiling.tiles_y;
    tiling.height = ceil_divided(image.height, tiling.tiles_y);
    tiling.width = ceil_divided(image.width, tiling.tiles_x);
    Layout layout = layout_of(image, tiling);
    layout.halo.left = layout.halo.above = any(0, 1);
    Lanes x(layout);
    const Short lowest = one_in(3) ? Short{32767} : Short{-32767};
    for (Short& one : x) one = static_cast<Short>(any(lowest, 32767));
    const double unit = std::ldexp(1.0, static_cast<int>(any(-20, 3)));
    std::vector<float> made(static_cast<std::size_t>(image.count * image.channels), -1.0f);
    run(*make_fixed_average(kernels, 0, layout, unit, 1), {x.buffer(), made.data()});
    for (Size i = 0; i < image.count; ++i)
      for (Size channel = 0; channel < image.channels; ++channel) {
        double sum = 0;
        for (Size row = 0; row < image.height; ++row)
          for (Size column = 0; column < image.width; ++column)
            sum += x.at(i / images, 0, row % tiling.height, channel,
                        column % tiling.width)[layout.lane_of(i % images, 0, row, column)];
        CHECK(made[static_cast<std::size_t>(i * image.channels + channel)] ==
              static_cast<float>(sum * unit / static_cast<double>(image.pixels())));
      }
  }
}

void sums_of_planes_are_exact_whatever_the_bounds(const Kernels& kernels) {
  for (int repeat = 0; repeat < 40; ++repeat) {
    const Size planes = any(1, 5), outputs = ceil_divided(any(32, 80), planes);
    // 2047: the largest of which four tables fit 16 bits.
    const Size largest = std::array<Size, 5>{1, 127, 255, 1000, 2047}[static_cast<std::size_t>(any(0, 4))];
    Case made = case_of({one_in(4) ? 2 : 1, any(1, 3), any(1, 4)}, any(1, 3), 0, largest, one_in(3), any(1, 40),
                        outputs * planes);
    check_tables(kernels, made, planes, largest, one_in(2), static_cast<int>(any(1, 4)), one_in(2));
  }
  Constant weight;
  weight.form = Constant::Form::kPlanes;
  weight.planes = 1;
  weight.rows = 64;
  weight.columns = 9;
  weight.scales.assign(64, 1.0f);
  CHECK(has_fixed_tables(weight, 2, limits_of(2047)));
  CHECK(!has_fixed_tables(weight, 2, limits_of(2048)));  // four entries of four inputs are beyond 16 bits
  CHECK(!has_fixed_tables(weight, 4, limits_of(255)));
  weight.scales[5] = 0.5f;
  CHECK(!has_fixed_tables(weight, 1, limits_of(255)));
}

void weights_are_whole_powers_of_two_or_they_are_not() {
  Constant weight;
  weight.rows = 1;
  weight.columns = 2;
  const auto whole = [&](float value) {
    weight.values = {0.0f, value};
    return is_whole(weight);
  };
  for (int exponent = 0; exponent <= kHighestPower; ++exponent)
    for (const float sign : {1.0f, -1.0f}) {
      CHECK(whole(sign * std::ldexp(1.0f, exponent)));
      CHECK(exponent == 0 || !whole(sign * std::ldexp(1.5f, exponent)));
    }
  for (const float other : {0.5f, 3.0f, 1.0000001f, 65536.0f, HUGE_VALF, std::nanf(""), 1e-45f}) CHECK(!whole(other));
}

}  // namespace

int main() {
  weights_are_whole_powers_of_two_or_they_are_not();
  for (const Instructions set : available_instructions()) {
    const Kernels& kernels = kernels_for(set);
    sums_are_exact_in_strips_of_every_shape_and_stride(kernels);
    sums_are_exact_whatever_the_bounds(kernels);
    sums_are_exact_across_blocks_of_channels(kernels);
    sums_of_bytes_are_exact(kernels);
    sums_that_16_bits_finish_are_those_that_floats_finish(kernels);
    depthwise_sums_are_exact(kernels);
    products_and_sums_round_one_after_the_other(kernels);
    every_number_is_rounded_to_even_and_cut(kernels);
    numbers_come_move_and_go_unchanged(kernels);
    pools_take_the_largest_number(kernels);
    averages_are_those_of_pixels_alone(kernels);
    sums_of_planes_are_exact_whatever_the_bounds(kernels);
  }
}
