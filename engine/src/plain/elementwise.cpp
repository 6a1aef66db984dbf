// Operators of one operand that see one entry at a time.
#include <algorithm>
#include <cmath>

#include "plain/elementary.hpp"
#include "plain/functions.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

struct Relu {
  static constexpr Size kCost = 1;
  float operator()(float x) const { return x < 0.0f ? 0.0f : x; }
};

struct Magnitude {
  static constexpr Size kCost = 1;
  float operator()(float x) const { return __builtin_fabsf(x); }
};

struct Clip {
  static constexpr Size kCost = 1;
  float minimum, maximum;
  float operator()(float x) const {
    const float risen = x < minimum ? minimum : x;
    return risen > maximum ? maximum : risen;
  }
};

struct LeakyRelu {
  static constexpr Size kCost = 1;
  float alpha;
  float operator()(float x) const { return x >= 0.0f ? x : alpha * x; }
};

struct ThresholdedRelu {
  static constexpr Size kCost = 1;
  float alpha;
  float operator()(float x) const { return x <= alpha ? 0.0f : x; }
};

struct Shrink {
  static constexpr Size kCost = 2;
  float threshold, bias;
  float operator()(float x) const {
    const float inside = x != x ? x : 0.0f;
    const float below = x < -threshold ? x + bias : inside;
    return x > threshold ? x - bias : below;
  }
};

struct Elu {
  static constexpr Size kCost = 24;
  double alpha, scale, input_scale;
  float operator()(float x) const {
    const auto wide = static_cast<double>(x);
    return static_cast<float>((x > 0.0f ? wide : alpha * std::expm1(input_scale * wide)) * scale);
  }
};

/// In double: alpha * x and beta may all but cancel.
struct HardSigmoid {
  static constexpr Size kCost = 4;
  double alpha, beta;
  float operator()(float x) const {
    double y = alpha * static_cast<double>(x) + beta;
    y = y < 0.0 ? 0.0 : y;
    y = y > 1.0 ? 1.0 : y;
    return static_cast<float>(y);
  }
};

template <float (*function)(float), Size cost>
struct Function {
  static constexpr Size kCost = cost;
  float operator()(float x) const { return function(x); }
};

template <class Of>
class Elementwise final : public PlainKernel {
 public:
  Elementwise(Size count, const Of& of) : parts_(1, count), count_(count), of_(of) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_ * Of::kCost; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      const Of of = of_;
      if (inputs[0] == output) {
        for (Size i = from; i < to; ++i) output[i] = of(output[i]);
      } else {
        const float* __restrict x = inputs[0];
        float* __restrict y = output;
        for (Size i = from; i < to; ++i) y[i] = of(x[i]);
      }
    });
  }

 private:
  Parts parts_;
  Size count_;
  Of of_;
};

template <class Of>
Kernel made(const Making& making, const Of& of) {
  return std::make_unique<Elementwise<Of>>(entries(making.output), of);
}

template <class Of>
Kernel of_nothing(const Making& making) {
  return made(making, Of());
}

Kernel clip(const Making& making) {
  const Attributes& given = making.attributes();
  return made(making, Clip{given.number(AttributeName::kMinimum), given.number(AttributeName::kMaximum)});
}

Kernel leaky_relu(const Making& making) {
  return made(making, LeakyRelu{making.attributes().number(AttributeName::kAlpha)});
}

Kernel hard_sigmoid(const Making& making) {
  const Attributes& given = making.attributes();
  return made(making, HardSigmoid{given.number(AttributeName::kAlpha), given.number(AttributeName::kBeta)});
}

Kernel gelu_of(const Making& making) {
  if (making.attributes().choice<GeluApproximate>(AttributeName::kApproximate) == GeluApproximate::kTanh)
    return made(making, Function<gelu_by_tanh, 16>());
  return made(making, Function<gelu, 16>());
}

Kernel thresholded_relu(const Making& making) {
  return made(making, ThresholdedRelu{making.attributes().number(AttributeName::kAlpha)});
}

Kernel shrink(const Making& making) {
  const Attributes& given = making.attributes();
  return made(making, Shrink{given.number(AttributeName::kThreshold), given.number(AttributeName::kBias)});
}

Kernel elu(const Making& making) {
  const Attributes& given = making.attributes();
  return made(making, Elu{given.number(AttributeName::kAlpha), given.number(AttributeName::kScale),
                          given.number(AttributeName::kInputScale)});
}

template <double (*function)(double)>
Kernel of_doubles(const Making& making) {
  return made(making, Function<in_double<function>, 24>());
}

constexpr MakerEntry kFunctions[] = {
    {Operator::kRelu, of_nothing<Relu>},
    {Operator::kClip, clip},
    {Operator::kHardSwish, of_nothing<Function<hard_swish, 2>>},
    {Operator::kSigmoid, of_nothing<Function<sigmoid, 12>>},
    {Operator::kHardSigmoid, hard_sigmoid},
    {Operator::kSilu, of_nothing<Function<silu, 12>>},
    {Operator::kGelu, gelu_of},
    {Operator::kLeakyRelu, leaky_relu},
    {Operator::kAbs, of_nothing<Magnitude>},
    {Operator::kTanh, of_nothing<Function<hyperbolic_tangent, 12>>},
    {Operator::kExp, of_doubles<exponential_of>},
    {Operator::kLog, of_doubles<logarithm_of>},
    {Operator::kSqrt, of_nothing<Function<square_root, 4>>},
    {Operator::kErf, of_doubles<error_function_of>},
    {Operator::kSin, of_doubles<sine_of>},
    {Operator::kCos, of_doubles<cosine_of>},
    {Operator::kTan, of_doubles<tangent_of>},
    {Operator::kAsin, of_doubles<inverse_sine_of>},
    {Operator::kAcos, of_doubles<inverse_cosine_of>},
    {Operator::kAtan, of_doubles<inverse_tangent_of>},
    {Operator::kSinh, of_doubles<hyperbolic_sine_of>},
    {Operator::kCosh, of_doubles<hyperbolic_cosine_of>},
    {Operator::kAsinh, of_doubles<inverse_hyperbolic_sine_of>},
    {Operator::kAcosh, of_doubles<inverse_hyperbolic_cosine_of>},
    {Operator::kAtanh, of_doubles<inverse_hyperbolic_tangent_of>},
    {Operator::kSign, of_nothing<Function<sign_of, 2>>},
    {Operator::kFloor, of_nothing<Function<floor_of, 1>>},
    {Operator::kCeil, of_nothing<Function<ceiling_of, 1>>},
    {Operator::kRound, of_nothing<Function<nearest_even, 1>>},
    {Operator::kTrunc, of_nothing<Function<truncated, 1>>},
    {Operator::kExpm1, of_doubles<exponential_less_one_of>},
    {Operator::kLog1p, of_doubles<logarithm_of_one_more>},
    {Operator::kElu, elu},
    {Operator::kSoftplus, of_doubles<softplus_of>},
    {Operator::kSoftsign, of_nothing<Function<softsign, 8>>},
    {Operator::kMish, of_doubles<mish_of>},
    {Operator::kThresholdedRelu, thresholded_relu},
    {Operator::kShrink, shrink},
};
static_assert(holds_all(kFunctions, [](const OperatorEntry& entry) { return entry.work == Work::kEntrywise; }),
              "an entrywise operator needs its function here");

}  // namespace

Kernel make_elementwise(const Making& making) { return maker_in(kFunctions, making.node.op)(making); }

}  // namespace netsurgery::plain
