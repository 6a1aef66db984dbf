// What gives bools: comparisons, logic, and what numbers are.
#include <limits>

#include "plain/broadcast.hpp"

namespace netsurgery::plain {
namespace {

struct Equal {
  template <class Entry>
  Bool operator()(Entry a, Entry b) const {
    return a == b;
  }
  Bool operator()(Bool a, Bool b) const { return (a != 0) == (b != 0); }
};
struct NotEqual {
  template <class Entry>
  Bool operator()(Entry a, Entry b) const {
    return !Equal()(a, b);
  }
};
struct Less {
  template <class Entry>
  Bool operator()(Entry a, Entry b) const {
    return a < b;
  }
};
struct LessOrEqual {
  template <class Entry>
  Bool operator()(Entry a, Entry b) const {
    return a <= b;
  }
};
struct Greater {
  template <class Entry>
  Bool operator()(Entry a, Entry b) const {
    return a > b;
  }
};
struct GreaterOrEqual {
  template <class Entry>
  Bool operator()(Entry a, Entry b) const {
    return a >= b;
  }
};
struct And {
  Bool operator()(Bool a, Bool b) const { return (a != 0) & (b != 0); }
};
struct Or {
  Bool operator()(Bool a, Bool b) const { return (a != 0) | (b != 0); }
};
struct Xor {
  Bool operator()(Bool a, Bool b) const { return (a != 0) ^ (b != 0); }
};

template <class Of>
Kernel of_any(const Making& making) {
  return with_type(making.type(0),
                   [&](auto entry) -> Kernel { return std::make_unique<Binary<Of, decltype(entry), Bool>>(making); });
}

template <class Of>
Kernel of_numbers(const Making& making) {
  return with_number(making.type(0),
                     [&](auto entry) -> Kernel { return std::make_unique<Binary<Of, decltype(entry), Bool>>(making); });
}

template <class Of>
Kernel of_bools(const Making& making) {
  return std::make_unique<Binary<Of, Bool, Bool>>(making);
}

/// Of one operand, entry by entry.
template <class In, class Of>
class Test final : public PlainKernel {
 public:
  Test(Size count, const Of& of) : parts_(1, count), count_(count), of_(of) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const In* __restrict x = seen_as<In>(inputs[0]);
    Bool* __restrict y = seen_as<Bool>(output);
    const Of of = of_;
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      for (Size i = from; i < to; ++i) y[i] = of(x[i]);
    });
  }

 private:
  Parts parts_;
  Size count_;
  Of of_;
};

template <class In, class Of>
Kernel test(const Making& making, const Of& of) {
  return std::make_unique<Test<In, Of>>(entries(making.output), of);
}

Kernel opposite(const Making& making) {
  return test<Bool>(making, [](Bool x) -> Bool { return x == 0; });
}

Kernel is_nan(const Making& making) {
  return test<float>(making, [](float x) -> Bool { return x != x; });
}

Kernel is_infinite(const Making& making) {
  const bool positive = making.attributes().flag(AttributeName::kPositive);
  const bool negative = making.attributes().flag(AttributeName::kNegative);
  return test<float>(making, [=](float x) -> Bool {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    return (positive & (x == kInfinity)) | (negative & (x == -kInfinity));
  });
}

constexpr MakerEntry kMakers[] = {
    {Operator::kEqual, of_any<Equal>},
    {Operator::kNotEqual, of_any<NotEqual>},
    {Operator::kLess, of_numbers<Less>},
    {Operator::kLessOrEqual, of_numbers<LessOrEqual>},
    {Operator::kGreater, of_numbers<Greater>},
    {Operator::kGreaterOrEqual, of_numbers<GreaterOrEqual>},
    {Operator::kAnd, of_bools<And>},
    {Operator::kOr, of_bools<Or>},
    {Operator::kXor, of_bools<Xor>},
    {Operator::kNot, opposite},
    {Operator::kIsNaN, is_nan},
    {Operator::kIsInf, is_infinite},
};
static_assert(holds_all(kMakers, [](const OperatorEntry& entry) { return entry.gives == Gives::kBool; }),
              "an operator that gives bools needs its kernel here");

}  // namespace

Kernel make_comparison(const Making& making) { return maker_in(kMakers, making.node.op)(making); }

}  // namespace netsurgery::plain
