// Arithmetic of two operands, broadcast as in NumPy. Whole numbers wrap around.
#include <cmath>
#include <limits>

#include "plain/broadcast.hpp"
#include "plain/kernel_function.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"

namespace netsurgery::plain {
namespace {

struct Sum {
  float operator()(float a, float b) const { return a + b; }
  template <class Whole>
  Whole operator()(Whole a, Whole b) const {
    return static_cast<Whole>(static_cast<Unsigned<Whole>>(a) + static_cast<Unsigned<Whole>>(b));
  }
};
struct Difference {
  float operator()(float a, float b) const { return a - b; }
  template <class Whole>
  Whole operator()(Whole a, Whole b) const {
    return static_cast<Whole>(static_cast<Unsigned<Whole>>(a) - static_cast<Unsigned<Whole>>(b));
  }
};
struct Product {
  float operator()(float a, float b) const { return a * b; }
  template <class Whole>
  Whole operator()(Whole a, Whole b) const {
    return static_cast<Whole>(static_cast<Unsigned<Whole>>(a) * static_cast<Unsigned<Whole>>(b));
  }
};
struct Quotient {
  float operator()(float a, float b) const { return a / b; }
  template <class Whole>
  Whole operator()(Whole a, Whole b) const {
    if (b == 0) return 0;
    if (b == -1) return Difference()(Whole{0}, a);  // the smallest number has no quotient else
    return static_cast<Whole>(a / b);
  }
};

struct Power {
  float operator()(float a, float b) const {
    return static_cast<float>(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
};
struct Smaller {
  float operator()(float a, float b) const { return ((a <= b) | (a != a)) ? a : b; }
};
struct Larger {
  float operator()(float a, float b) const { return ((a >= b) | (a != a)) ? a : b; }
};
struct Fmod {
  float operator()(float a, float b) const { return std::fmod(a, b); }
};
/// With the sign of b, a zero too.
struct Remainder {
  float operator()(float a, float b) const {
    const float rest = std::fmod(a, b);
    if (rest == 0.0f) return std::copysign(0.0f, b);
    return (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
  }
};
struct PRelu {
  float operator()(float a, float b) const { return a >= 0.0f ? a : a * b; }
};

/// Of floats, on the kernels of an instruction set.
class Pairs final : public TwoOperands {
 public:
  Pairs(const Making& making, Pair pair)
      : TwoOperands(making), combine_(making.kernels.pairs[static_cast<int>(pair)]) {}
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    each(begin, end, [&](Size in_a, Size in_b, Size in_output, Size count) {
      combine_(inputs[0] + in_a, a_moves(), inputs[1] + in_b, b_moves(), output + in_output, count);
    });
  }

 private:
  void (*combine_)(const float*, bool, const float*, bool, float*, std::ptrdiff_t);
};

struct PairEntry {
  Operator op;
  Pair pair;
};

constexpr PairEntry kOfKernels[] = {
    {Operator::kAdd, Pair::kSum},
    {Operator::kMul, Pair::kProduct},
    {Operator::kSub, Pair::kDifference},
    {Operator::kDiv, Pair::kQuotient},
};

template <class Of>
Kernel made(const Making& making) {
  if (making.type(0) == ValueType::kFloat32) return std::make_unique<Pairs>(making, *kernel_pair(making.node.op));
  return with_number(making.type(0), [&](auto entry) -> Kernel {
    using Entry = decltype(entry);
    return std::make_unique<Binary<Of, Entry, Entry>>(making);
  });
}

template <class Of>
Kernel of_floats(const Making& making) {
  return std::make_unique<Binary<Of, float, float>>(making);
}

constexpr MakerEntry kFunctions[] = {
    {Operator::kAdd, made<Sum>},         {Operator::kMul, made<Product>},
    {Operator::kSub, made<Difference>},  {Operator::kDiv, made<Quotient>},
    {Operator::kPow, of_floats<Power>},  {Operator::kMin, of_floats<Smaller>},
    {Operator::kMax, of_floats<Larger>}, {Operator::kRemainder, of_floats<Remainder>},
    {Operator::kFmod, of_floats<Fmod>},  {Operator::kPRelu, of_floats<PRelu>},
};
static_assert(holds_all(kFunctions, [](const OperatorEntry& entry) { return entry.work == Work::kBroadcast; }),
              "an operator of two broadcast operands needs its function here");

}  // namespace

std::optional<Pair> kernel_pair(Operator op) {
  for (const PairEntry& entry : kOfKernels)
    if (entry.op == op) return entry.pair;
  return std::nullopt;
}

Kernel make_binary(const Making& making) { return maker_in(kFunctions, making.node.op)(making); }

}  // namespace netsurgery::plain
