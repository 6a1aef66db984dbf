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

/// Of floats, on the kernels of an instruction set. Along the last axis both operands go on, or one of them stays.
class Pairs final : public PlainKernel {
 public:
  Pairs(const Making& making, Pair pair)
      : sizes_(making.output),
        a_(broadcast_strides(making.operands[0], making.output)),
        b_(broadcast_strides(making.operands[1], making.output)),
        parts_(1, 1),
        cost_(entries(making.output)),
        combine_(making.kernels.pairs[static_cast<int>(pair)]) {
    join_axes(sizes_, {&a_, &b_});
    if (!sizes_.empty()) {
      length_ = sizes_.back();
      a_moves_ = a_.back() != 0;
      b_moves_ = b_.back() != 0;
      sizes_.pop_back();
      a_.pop_back();
      b_.pop_back();
    }
    parts_ = Parts(entries(sizes_), length_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const float* const a = inputs[0] + place_of(row, sizes_, a_) + (a_moves_ ? from : 0);
      const float* const b = inputs[1] + place_of(row, sizes_, b_) + (b_moves_ ? from : 0);
      combine_(a, a_moves_, b, b_moves_, output + row * length_ + from, to - from);
    });
  }

 private:
  Shape sizes_;
  std::vector<Size> a_, b_;
  Size length_ = 1;
  bool a_moves_ = false, b_moves_ = false;
  Parts parts_;
  Size cost_;
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
