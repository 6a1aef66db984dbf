// Functions of each entry, softmax and layer normalisation along neighbouring floats: loops that the compiler turns
// into vectors of this instruction set.
#pragma once

#include "base/loops.hpp"
#include "isa/functions.hpp"
#include "isa/kernels.hpp"
#include "isa/runs.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

struct Relu {
  NETSURGERY_INLINE float operator()(float x) const { return x < 0.0f ? 0.0f : x; }
};

struct Magnitude {
  NETSURGERY_INLINE float operator()(float x) const { return __builtin_fabsf(x); }
};

struct Clip {
  float minimum, maximum;
  NETSURGERY_INLINE float operator()(float x) const {
    const float risen = x < minimum ? minimum : x;
    return risen > maximum ? maximum : risen;
  }
};

struct LeakyRelu {
  float alpha;
  NETSURGERY_INLINE float operator()(float x) const { return x >= 0.0f ? x : alpha * x; }
};

/// In double: alpha * x and beta may all but cancel.
struct HardSigmoid {
  float alpha, beta;
  NETSURGERY_INLINE float operator()(float x) const {
    double y = static_cast<double>(alpha) * static_cast<double>(x) + static_cast<double>(beta);
    y = y < 0.0 ? 0.0 : y;
    y = y > 1.0 ? 1.0 : y;
    return static_cast<float>(y);
  }
};

#define NETSURGERY_FUNCTION(Name, name)                                        \
  struct Name {                                                                \
    NETSURGERY_INLINE Wide operator()(const Wide& x) const { return name(x); } \
  };
NETSURGERY_FUNCTION(HardSwish, hard_swish)
NETSURGERY_FUNCTION(Sigmoid, sigmoid)
NETSURGERY_FUNCTION(Silu, silu)
NETSURGERY_FUNCTION(Gelu, gelu)
NETSURGERY_FUNCTION(GeluByTanh, gelu_by_tanh)
NETSURGERY_FUNCTION(HyperbolicTangent, hyperbolic_tangent)
#undef NETSURGERY_FUNCTION

template <class Of>
NETSURGERY_INLINE void map(const Of of, const float* x, float* y, std::ptrdiff_t count) {
  NETSURGERY_EACH_ALONE
  for (std::ptrdiff_t i = 0; i < count; ++i) y[i] = of(x[i]);
}

/// A function of so many parameters.
template <class Of, int kCount>
NETSURGERY_INLINE Of with_parameters(const float* parameters) {
  static_assert(kCount <= 2);
  if constexpr (kCount == 0) return Of{};
  if constexpr (kCount == 1) return Of{parameters[0]};
  if constexpr (kCount == 2) return Of{parameters[0], parameters[1]};
}

template <class Of, int kCount>
static void of_each(const float* x, float* y, std::ptrdiff_t count, const float* parameters) {
  map(with_parameters<Of, kCount>(parameters), x, y, count);
}

/// Of registers; of the last ones as much as there is.
template <class Of>
static void of_registers(const float* x, float* y, std::ptrdiff_t count, const float*) {
  constexpr Of of{};
  constexpr int kFloats = Wide::kFloats / Wide::kParts;
  std::ptrdiff_t i = 0;
  for (; i + Wide::kFloats <= count; i += Wide::kFloats) {
    const float* from = x + i;
    const Wide made =
        of(Wide::each([=](int p) { return *reinterpret_cast<const UnalignedNative*>(from + p * kFloats); }));
#pragma GCC unroll 4
    for (int p = 0; p < Wide::kParts; ++p) *reinterpret_cast<UnalignedNative*>(y + i + p * kFloats) = made.part[p];
  }
  if (i == count) return;
  Wide last = 0.0f;
  const auto bytes = static_cast<std::size_t>(count - i) * sizeof(float);
  __builtin_memcpy(&last, x + i, bytes);
  last = of(last);
  __builtin_memcpy(y + i, &last, bytes);
}

template <class Of, int kCount>
static void placed_of_each(const PlacedVectors& given) {
  const PlacedVectors vectors = given;
  const Of of = with_parameters<Of, kCount>(vectors.parameters);
  for (std::ptrdiff_t c = 0; c < vectors.channels; ++c)
    for (std::ptrdiff_t v = 0; v < vectors.count; ++v) {
      float* at = vectors.values + c * vectors.channel + vectors.places[v];
      map(of, at, at, kLanes);
    }
}

/// Of registers, as many side by side as Wide has whether or not they lie side by side. Where fewer are left, the last
/// is computed again.
template <class Of>
static void placed_of_registers(const PlacedVectors& given) {
  constexpr Of of{};
  constexpr int kFloats = Wide::kFloats / Wide::kParts;
  const PlacedVectors vectors = given;
  std::ptrdiff_t left = vectors.channels * vectors.count * kParts, v = 0, part = 0;
  float* of_channel = vectors.values;
  while (left > 0) {
    float* at[Wide::kParts];
#pragma GCC unroll 4
    for (int p = 0; p < Wide::kParts; ++p) {
      if (p >= left) {
        at[p] = at[p - 1];
        continue;
      }
      at[p] = of_channel + vectors.places[v] + part * kFloats;
      if (++part < kParts) continue;
      part = 0;
      if (++v < vectors.count) continue;
      v = 0;
      of_channel += vectors.channel;
    }
    left -= Wide::kParts;
    const Wide made = of(Wide::each([&](int p) { return *reinterpret_cast<const AlignedNative*>(at[p]); }));
#pragma GCC unroll 4
    for (int p = 0; p < Wide::kParts; ++p) *reinterpret_cast<AlignedNative*>(at[p]) = made.part[p];
  }
}

template <class Of, int kCount>
constexpr void put_of(Kernels& table, Function function) {
  table.functions[static_cast<int>(function)] = of_each<Of, kCount>;
  table.placed_functions[static_cast<int>(function)] = placed_of_each<Of, kCount>;
}

template <class Of>
constexpr void put_of_registers(Kernels& table, Function function) {
  table.functions[static_cast<int>(function)] = of_registers<Of>;
  table.placed_functions[static_cast<int>(function)] = placed_of_registers<Of>;
}

constexpr void put_functions(Kernels& table) {
  put_of<Relu, 0>(table, Function::kRelu);
  put_of<Clip, 2>(table, Function::kClip);
  put_of<HardSigmoid, 2>(table, Function::kHardSigmoid);
  put_of<LeakyRelu, 1>(table, Function::kLeakyRelu);
  put_of<Magnitude, 0>(table, Function::kAbs);
  put_of_registers<HardSwish>(table, Function::kHardSwish);
  put_of_registers<Sigmoid>(table, Function::kSigmoid);
  put_of_registers<Silu>(table, Function::kSilu);
  put_of_registers<Gelu>(table, Function::kGelu);
  put_of_registers<GeluByTanh>(table, Function::kGeluByTanh);
  put_of_registers<HyperbolicTangent>(table, Function::kTanh);
}

/// Of floats and of vectors.
struct Sum {
  template <class T>
  NETSURGERY_INLINE T operator()(const T& a, const T& b) const {
    return a + b;
  }
};
struct Difference {
  template <class T>
  NETSURGERY_INLINE T operator()(const T& a, const T& b) const {
    return a - b;
  }
};
struct ProductOfTwo {
  template <class T>
  NETSURGERY_INLINE T operator()(const T& a, const T& b) const {
    return a * b;
  }
};
struct Quotient {
  template <class T>
  NETSURGERY_INLINE T operator()(const T& a, const T& b) const {
    return a / b;
  }
};
struct Largest {
  NETSURGERY_INLINE float operator()(float a, float b) const { return larger(a, b); }
  NETSURGERY_INLINE Vector operator()(const Vector& a, const Vector& b) const { return maximum(a, b); }
};

template <class Of>
static void of_pairs(const float* a, bool a_moves, const float* b, bool b_moves, float* y, std::ptrdiff_t count) {
  constexpr Of of{};
  std::ptrdiff_t i = 0;
  if (a_moves && b_moves) {
    for (; i + kLanes <= count; i += kLanes) store_unaligned(y + i, of(load_unaligned(a + i), load_unaligned(b + i)));
  } else if (a_moves && count >= kLanes) {
    const Vector right = broadcast(*b);
    for (; i + kLanes <= count; i += kLanes) store_unaligned(y + i, of(load_unaligned(a + i), right));
  } else if (count >= kLanes) {
    const Vector left = broadcast(*a);
    for (; i + kLanes <= count; i += kLanes)
      store_unaligned(y + i, of(left, b_moves ? load_unaligned(b + i) : broadcast(*b)));
  }
  for (; i < count; ++i) y[i] = of(a_moves ? a[i] : *a, b_moves ? b[i] : *b);
}

constexpr void put_pairs(Kernels& table) {
  const auto put = [&table](Pair pair, auto kernel) { table.pairs[static_cast<int>(pair)] = kernel; };
  put(Pair::kSum, of_pairs<Sum>);
  put(Pair::kDifference, of_pairs<Difference>);
  put(Pair::kProduct, of_pairs<ProductOfTwo>);
  put(Pair::kQuotient, of_pairs<Quotient>);
  put(Pair::kLargest, of_pairs<Largest>);
}

template <bool kScales, bool kShifts, bool kClips>
static void scale_channels_as(const ScaledChannels& given) {
  const ScaledChannels work = given;
  const Vector low = broadcast(work.low), high = broadcast(work.high);
  for (std::ptrdiff_t c = 0; c < work.channels; ++c) {
    const float* x = work.input + c * work.input_channel;
    float* y = work.output + c * work.output_channel;
    const Vector scale = broadcast(kScales ? work.scale[c * work.scale_step] : 1.0f);
    const Vector shift = broadcast(kShifts ? work.shift[c * work.shift_step] : 0.0f);
    for (std::ptrdiff_t i = 0; i < work.count; i += kLanes) {
      Vector made = load(x + i);
      if constexpr (kScales && kShifts)
        made = multiply_add(scale, made, shift);
      else if constexpr (kScales)
        made = scale * made;
      else if constexpr (kShifts)
        made = made + shift;
      if constexpr (kClips) made = at_most(high, at_least(low, made));
      store(y + i, made);
    }
  }
}

static void scale_channels(const ScaledChannels& given) {
  const bool scales = given.scale != nullptr, shifts = given.shift != nullptr;
  if (scales && shifts)
    return (given.clips ? scale_channels_as<true, true, true> : scale_channels_as<true, true, false>)(given);
  if (scales)
    return (given.clips ? scale_channels_as<true, false, true> : scale_channels_as<true, false, false>)(given);
  (given.clips ? scale_channels_as<false, true, true> : scale_channels_as<false, true, false>)(given);
}

/// The largest of all, NaN if any is; count >= 1.
NETSURGERY_INLINE float largest_in(const float* x, std::ptrdiff_t count) {
  if (count < kLanes) return largest_of(x, count);
  Vector most = load_unaligned(x);
  for (std::ptrdiff_t i = kLanes; i + kLanes <= count; i += kLanes) most = maximum(most, load_unaligned(x + i));
  most = maximum(most, load_unaligned(x + count - kLanes));  // some of them again
  alignas(64) float lanes[kLanes];
  store(lanes, most);
  return largest_of(lanes, kLanes);
}

/// map(16 of the values, as doubles) summed, those that are left one by one.
template <class Map>
NETSURGERY_INLINE double sum_in(const float* x, std::ptrdiff_t count, Map map) {
  Doubles a{}, b{};
  std::ptrdiff_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    a = a + map(load_wide(x + i));
    b = b + map(load_wide(x + i + kLanes));
  }
  if (i + kLanes <= count) {
    a = a + map(load_wide(x + i));
    i += kLanes;
  }
  if (i < count) {
    float rest[kLanes] = {};
    for (std::ptrdiff_t k = i; k < count; ++k) rest[k - i] = x[k];
    Doubles last = map(load_wide(rest));
    keep_first(last, count - i);
    b = b + last;
  }
  return total(a + b);
}

struct Higher {
  template <class T>
  NETSURGERY_INLINE T operator()(const T& a, const T& b) const {
    return a > b ? a : b;
  }
};

/// As many floats as there are, then `fill`.
NETSURGERY_INLINE Vector load_first(const float* x, std::ptrdiff_t count, float fill) {
  alignas(64) float lanes[kLanes];
  store(lanes, broadcast(fill));
  for (std::ptrdiff_t i = 0; i < count; ++i) lanes[i] = x[i];
  return load(lanes);
}

NETSURGERY_INLINE void store_first(float* y, std::ptrdiff_t count, const Vector& v) {
  alignas(64) float lanes[kLanes];
  store(lanes, v);
  for (std::ptrdiff_t i = 0; i < count; ++i) y[i] = lanes[i];
}

/// Lanes from `first` on; the others are 0.
NETSURGERY_INLINE Vector lanes_from(std::ptrdiff_t first, const Vector& v) {
  alignas(64) static constexpr float kCount[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Vector count = load(kCount), begin = broadcast(static_cast<float>(first));
  Vector result;
  for (int i = 0; i < kParts; ++i) result.part[i] = count.part[i] < begin.part[i] ? Native{} : v.part[i];
  return result;
}

/// y = e^(x - largest), x and y apart; their sum. What is NaN makes it NaN.
NETSURGERY_INLINE double powers_below(const float* __restrict x, float largest, float* __restrict y,
                                      std::ptrdiff_t count) {
  constexpr std::ptrdiff_t kBlock = 64 * kLanes;  // what is summed in float32
  const Vector most = broadcast(largest);
  const auto power = [&](std::ptrdiff_t at) {
    const Vector made = power_below_one(load_unaligned(x + at) - most);
    store_unaligned(y + at, made);
    return made;
  };
  double total = 0;
  std::ptrdiff_t i = 0;
  while (i + kLanes <= count) {
    const std::ptrdiff_t end = count - i < kBlock + kLanes ? count : i + kBlock;
    Vector sums[2] = {broadcast(0.0f), broadcast(0.0f)};
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
      sums[0] = sums[0] + power(i);
      sums[1] = sums[1] + power(i + kLanes);
    }
    if (i + kLanes <= end) {
      sums[0] = sums[0] + power(i);
      i += kLanes;
    }
    if (end == count && i < count) sums[1] = sums[1] + lanes_from(kLanes - (count - i), power(count - kLanes));
    total += static_cast<double>(reduced(sums[0] + sums[1], Sum{}));
  }
  if (count < kLanes) {
    const Vector made = power_below_one(load_first(x, count, -__builtin_inff()) - most);
    store_first(y, count, made);
    total = static_cast<double>(reduced(made, Sum{}));
  }
  return total;
}

static void softmax_row(const float* __restrict x, float* __restrict y, std::ptrdiff_t count) {
  const Vector lowest = broadcast(-__builtin_inff());
  if (count < kLanes) {
    const float largest = reduced(at_least(lowest, load_first(x, count, -__builtin_inff())), Higher{});
    const Vector inverse = broadcast(static_cast<float>(1.0 / powers_below(x, largest, y, count)));
    store_first(y, count, load_first(y, count, 0.0f) * inverse);
    return;
  }
  Vector most[2] = {lowest, lowest};
  std::ptrdiff_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    most[0] = at_least(most[0], load_unaligned(x + i));
    most[1] = at_least(most[1], load_unaligned(x + i + kLanes));
  }
  if (i + kLanes <= count) most[0] = at_least(most[0], load_unaligned(x + i));
  most[1] = at_least(most[1], load_unaligned(x + count - kLanes));  // some of them again
  const float largest = reduced(at_least(most[0], most[1]), Higher{});
  const Vector inverse = broadcast(static_cast<float>(1.0 / powers_below(x, largest, y, count)));
  const Vector last = load_unaligned(y + count - kLanes);
  for (i = 0; i + kLanes <= count; i += kLanes) store_unaligned(y + i, load_unaligned(y + i) * inverse);
  store_unaligned(y + count - kLanes, last * inverse);
}

static void log_softmax_row(const float* __restrict x, float* __restrict y, std::ptrdiff_t count) {
  const float largest = largest_in(x, count);
  const double logarithm = __builtin_log(powers_below(x, largest, y, count));
  for (std::ptrdiff_t i = 0; i < count; ++i)
    y[i] = static_cast<float>((static_cast<double>(x[i]) - static_cast<double>(largest)) - logarithm);
}

static void softmax_columns(const SoftmaxColumns& given) {
  const SoftmaxColumns work = given;
  float* __restrict largest = work.largest;
  double* __restrict totals = work.totals;
  const auto each = [&work](auto&& of_row) {
    for (std::ptrdiff_t r = 0; r < work.rows; ++r) of_row(work.input + r * work.row, work.output + r * work.row);
  };
  for (std::ptrdiff_t c = 0; c < work.columns; ++c) {
    largest[c] = work.input[c];
    totals[c] = 0.0;
  }
  each([&](const float* __restrict x, float*) {
    for (std::ptrdiff_t c = 0; c < work.columns; ++c) largest[c] = larger(largest[c], x[c]);
  });
  each([&](const float* __restrict x, float* __restrict y) {
    for (std::ptrdiff_t c = 0; c < work.columns; ++c) {
      y[c] = power_below(x[c], largest[c]);
      totals[c] += static_cast<double>(y[c]);
    }
  });
  if (work.logarithm) {
    for (std::ptrdiff_t c = 0; c < work.columns; ++c) totals[c] = __builtin_log(totals[c]);
    each([&](const float* __restrict x, float* __restrict y) {
      for (std::ptrdiff_t c = 0; c < work.columns; ++c)
        y[c] = static_cast<float>((static_cast<double>(x[c]) - static_cast<double>(largest[c])) - totals[c]);
    });
    return;
  }
  for (std::ptrdiff_t c = 0; c < work.columns; ++c) totals[c] = 1.0 / totals[c];
  each([&](const float*, float* __restrict y) {
    for (std::ptrdiff_t c = 0; c < work.columns; ++c) y[c] = static_cast<float>(static_cast<double>(y[c]) * totals[c]);
  });
}

static void layer_norm_row(const LayerNormRow& given) {
  const LayerNormRow row = given;
  const float* __restrict x = row.input;
  float* __restrict y = row.output;
  const auto count = static_cast<double>(row.count);
  const double mean = sum_in(x, row.count, [](const Doubles& seen) { return seen; }) / count;
  const Doubles middle = broadcast_wide(mean);
  const double squares = sum_in(x, row.count, [&](const Doubles& seen) {
    const Doubles centred = seen - middle;
    return centred * centred;
  });
  const double inverse = 1.0 / __builtin_sqrt(squares / count + row.epsilon);
  const float* __restrict scale = row.scale;
  const float* __restrict bias = row.bias;
  for (std::ptrdiff_t i = 0; i < row.count; ++i)
    y[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * inverse * static_cast<double>(scale[i]) +
                              static_cast<double>(bias[i]));
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
