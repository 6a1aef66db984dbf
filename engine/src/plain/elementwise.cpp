// Operators of one operand that see one entry at a time.
#include <cmath>

#include "plain/elementary.hpp"
#include "plain/kernel_function.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

class Elementwise final : public PlainKernel {
 public:
  Elementwise(Size count, const KernelFunction& of, const Kernels& kernels)
      : parts_(1, count),
        count_(count),
        of_(of),
        function_(kernels.functions[static_cast<int>(of.activation.function)]) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_ * of_.cost; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      function_(inputs[0] + from, output + from, to - from, of_.activation.parameters);
    });
  }

 private:
  Parts parts_;
  Size count_;
  KernelFunction of_;
  void (*function_)(const float*, float*, std::ptrdiff_t, const float*);
};

using Choose = KernelFunction (*)(const Attributes&);

template <Function function, Size cost>
KernelFunction of_nothing(const Attributes&) {
  return {{function}, cost};
}

KernelFunction clip(const Attributes& given) {
  return {{Function::kClip, {given.number(AttributeName::kMinimum), given.number(AttributeName::kMaximum)}}, 1};
}

KernelFunction leaky_relu(const Attributes& given) {
  return {{Function::kLeakyRelu, {given.number(AttributeName::kAlpha)}}, 1};
}

KernelFunction hard_sigmoid(const Attributes& given) {
  return {{Function::kHardSigmoid, {given.number(AttributeName::kAlpha), given.number(AttributeName::kBeta)}}, 4};
}

KernelFunction gelu_of(const Attributes& given) {
  const bool by_tanh = given.choice<GeluApproximate>(AttributeName::kApproximate) == GeluApproximate::kTanh;
  return {{by_tanh ? Function::kGeluByTanh : Function::kGelu}, 16};
}

struct ChoiceEntry {
  Operator op;
  Choose choose;
};

constexpr ChoiceEntry kOfKernels[] = {
    {Operator::kRelu, of_nothing<Function::kRelu, 1>},
    {Operator::kClip, clip},
    {Operator::kHardSwish, of_nothing<Function::kHardSwish, 2>},
    {Operator::kSigmoid, of_nothing<Function::kSigmoid, 12>},
    {Operator::kHardSigmoid, hard_sigmoid},
    {Operator::kSilu, of_nothing<Function::kSilu, 12>},
    {Operator::kGelu, gelu_of},
    {Operator::kLeakyRelu, leaky_relu},
    {Operator::kAbs, of_nothing<Function::kAbs, 1>},
    {Operator::kTanh, of_nothing<Function::kTanh, 12>},
};

Kernel by_kernel(const Making& making) {
  return std::make_unique<Elementwise>(entries(making.output), *kernel_function(making.node), making.kernels);
}

/// What no kernel has: one entry after another.
template <class Of>
class OneByOne final : public PlainKernel {
 public:
  OneByOne(Size count, const Of& of) : parts_(1, count), count_(count), of_(of) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_ * Of::kCost; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      for (Size i = from; i < to; ++i) output[i] = of_(inputs[0][i]);
    });
  }

 private:
  Parts parts_;
  Size count_;
  Of of_;
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
    const float above = x > threshold ? x - bias : inside;
    return x < -threshold ? x + bias : above;
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

template <float (*function)(float), Size cost>
struct Scalar {
  static constexpr Size kCost = cost;
  float operator()(float x) const { return function(x); }
};

template <class Of>
Kernel one_by_one(const Making& making, const Of& of) {
  return std::make_unique<OneByOne<Of>>(entries(making.output), of);
}

template <class Of>
Kernel plainly(const Making& making) {
  return one_by_one(making, Of());
}

template <double (*function)(double)>
Kernel of_doubles(const Making& making) {
  return plainly<Scalar<in_double<function>, 24>>(making);
}

Kernel thresholded_relu(const Making& making) {
  return one_by_one(making, ThresholdedRelu{making.attributes().number(AttributeName::kAlpha)});
}

Kernel shrink(const Making& making) {
  const Attributes& given = making.attributes();
  return one_by_one(making, Shrink{given.number(AttributeName::kThreshold), given.number(AttributeName::kBias)});
}

Kernel elu(const Making& making) {
  const Attributes& given = making.attributes();
  return one_by_one(making, Elu{given.number(AttributeName::kAlpha), given.number(AttributeName::kScale),
                                given.number(AttributeName::kInputScale)});
}

constexpr MakerEntry kFunctions[] = {
    {Operator::kRelu, by_kernel},
    {Operator::kClip, by_kernel},
    {Operator::kHardSwish, by_kernel},
    {Operator::kSigmoid, by_kernel},
    {Operator::kHardSigmoid, by_kernel},
    {Operator::kSilu, by_kernel},
    {Operator::kGelu, by_kernel},
    {Operator::kLeakyRelu, by_kernel},
    {Operator::kAbs, by_kernel},
    {Operator::kTanh, by_kernel},
    {Operator::kExp, of_doubles<exponential_of>},
    {Operator::kLog, of_doubles<logarithm_of>},
    {Operator::kSqrt, plainly<Scalar<square_root, 4>>},
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
    {Operator::kSign, plainly<Scalar<sign_of, 2>>},
    {Operator::kFloor, plainly<Scalar<floor_of, 1>>},
    {Operator::kCeil, plainly<Scalar<ceiling_of, 1>>},
    {Operator::kRound, plainly<Scalar<nearest_even, 1>>},
    {Operator::kTrunc, plainly<Scalar<truncated, 1>>},
    {Operator::kExpm1, of_doubles<exponential_less_one_of>},
    {Operator::kLog1p, of_doubles<logarithm_of_one_more>},
    {Operator::kElu, elu},
    {Operator::kSoftplus, of_doubles<softplus_of>},
    {Operator::kSoftsign, plainly<Scalar<softsign, 8>>},
    {Operator::kMish, of_doubles<mish_of>},
    {Operator::kThresholdedRelu, thresholded_relu},
    {Operator::kShrink, shrink},
};
static_assert(holds_all(kFunctions, [](const OperatorEntry& entry) { return entry.work == Work::kEntrywise; }),
              "an entrywise operator needs its function here");

}  // namespace

std::optional<KernelFunction> kernel_function(const Node& node) {
  for (const ChoiceEntry& entry : kOfKernels)
    if (entry.op == node.op) return entry.choose(node.attributes);
  return std::nullopt;
}

Kernel make_elementwise(const Making& making) { return maker_in(kFunctions, making.node.op)(making); }

}  // namespace netsurgery::plain
