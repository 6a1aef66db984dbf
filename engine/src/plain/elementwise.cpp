// Operators of one operand that see one entry at a time.
#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

/// A function of the kernel table, with its parameters.
struct Chosen {
  Function function;
  Size cost;
  float parameters[2] = {};
};

class Elementwise final : public PlainKernel {
 public:
  Elementwise(Size count, const Chosen& of, const Kernels& kernels)
      : parts_(1, count), count_(count), of_(of), function_(kernels.functions[static_cast<int>(of.function)]) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_ * of_.cost; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      function_(inputs[0] + from, output + from, to - from, of_.parameters);
    });
  }

 private:
  Parts parts_;
  Size count_;
  Chosen of_;
  void (*function_)(const float*, float*, std::ptrdiff_t, const float*);
};

using Choose = Chosen (*)(const Attributes&);

template <Function function, Size cost>
Chosen of_nothing(const Attributes&) {
  return {function, cost};
}

Chosen clip(const Attributes& given) {
  return {Function::kClip, 1, {given.number(AttributeName::kMinimum), given.number(AttributeName::kMaximum)}};
}

Chosen leaky_relu(const Attributes& given) { return {Function::kLeakyRelu, 1, {given.number(AttributeName::kAlpha)}}; }

Chosen hard_sigmoid(const Attributes& given) {
  return {Function::kHardSigmoid, 4, {given.number(AttributeName::kAlpha), given.number(AttributeName::kBeta)}};
}

Chosen gelu_of(const Attributes& given) {
  const bool by_tanh = given.choice<GeluApproximate>(AttributeName::kApproximate) == GeluApproximate::kTanh;
  return {by_tanh ? Function::kGeluByTanh : Function::kGelu, 16};
}

template <Choose choose>
Kernel made(const Making& making) {
  return std::make_unique<Elementwise>(entries(making.output), choose(making.attributes()), making.kernels);
}

constexpr MakerEntry kFunctions[] = {
    {Operator::kRelu, made<of_nothing<Function::kRelu, 1>>},
    {Operator::kClip, made<clip>},
    {Operator::kHardSwish, made<of_nothing<Function::kHardSwish, 2>>},
    {Operator::kSigmoid, made<of_nothing<Function::kSigmoid, 12>>},
    {Operator::kHardSigmoid, made<hard_sigmoid>},
    {Operator::kSilu, made<of_nothing<Function::kSilu, 12>>},
    {Operator::kGelu, made<gelu_of>},
    {Operator::kLeakyRelu, made<leaky_relu>},
    {Operator::kAbs, made<of_nothing<Function::kAbs, 1>>},
    {Operator::kTanh, made<of_nothing<Function::kTanh, 12>>},
};
static_assert(holds_all(kFunctions, [](const OperatorEntry& entry) { return entry.work == Work::kEntrywise; }),
              "an entrywise operator needs its function here");

}  // namespace

Kernel make_elementwise(const Making& making) { return maker_in(kFunctions, making.node.op)(making); }

}  // namespace netsurgery::plain
