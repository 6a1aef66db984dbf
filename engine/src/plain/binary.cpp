// Arithmetic of two operands, broadcast as in NumPy.
#include <cmath>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"

namespace netsurgery::plain {
namespace {

struct Sum {
  float operator()(float a, float b) const { return a + b; }
};
struct Difference {
  float operator()(float a, float b) const { return a - b; }
};
struct Product {
  float operator()(float a, float b) const { return a * b; }
};
struct Quotient {
  float operator()(float a, float b) const { return a / b; }
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

/// Along the last axis both operands go on, or one of them stays.
template <class Of>
class Binary final : public PlainKernel {
 public:
  explicit Binary(const Making& making)
      : sizes_(making.output),
        a_(broadcast_strides(making.operands[0], making.output)),
        b_(broadcast_strides(making.operands[1], making.output)),
        parts_(1, 1),
        cost_(entries(making.output)) {
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
      const float* __restrict a = inputs[0] + place_of(row, sizes_, a_);
      const float* __restrict b = inputs[1] + place_of(row, sizes_, b_);
      float* __restrict y = output + row * length_;
      constexpr Of of{};
      if (a_moves_ && b_moves_) {
        for (Size i = from; i < to; ++i) y[i] = of(a[i], b[i]);
      } else if (a_moves_) {
        const float right = *b;
        for (Size i = from; i < to; ++i) y[i] = of(a[i], right);
      } else {
        const float left = *a;
        if (b_moves_)
          for (Size i = from; i < to; ++i) y[i] = of(left, b[i]);
        else
          for (Size i = from; i < to; ++i) y[i] = of(left, *b);
      }
    });
  }

 private:
  Shape sizes_;
  std::vector<Size> a_, b_;
  Size length_ = 1;
  bool a_moves_ = false, b_moves_ = false;
  Parts parts_;
  Size cost_;
};

template <class Of>
Kernel made(const Making& making) {
  return std::make_unique<Binary<Of>>(making);
}

constexpr MakerEntry kFunctions[] = {
    {Operator::kAdd, made<Sum>},
    {Operator::kMul, made<Product>},
    {Operator::kSub, made<Difference>},
    {Operator::kDiv, made<Quotient>},
    {Operator::kPow, made<Power>},
    {Operator::kMin, made<Smaller>},
    {Operator::kMax, made<Larger>},
    {Operator::kRemainder, made<Remainder>},
    {Operator::kFmod, made<Fmod>},
    {Operator::kPRelu, made<PRelu>},
};
static_assert(holds_all(kFunctions, [](const OperatorEntry& entry) { return entry.work == Work::kBroadcast; }),
              "an operator of two broadcast operands needs its function here");

}  // namespace

Kernel make_binary(const Making& making) { return maker_in(kFunctions, making.node.op)(making); }

}  // namespace netsurgery::plain
