// Add, Sub, Mul, Div, broadcast as in NumPy. Whole numbers wrap around.
#include <limits>

#include "plain/broadcast.hpp"

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

template <class Of>
Kernel made(const Making& making) {
  return with_number(making.type(0), [&](auto entry) -> Kernel {
    using Entry = decltype(entry);
    return std::make_unique<Binary<Of, Entry, Entry>>(making);
  });
}

constexpr MakerEntry kFunctions[] = {
    {Operator::kAdd, made<Sum>},
    {Operator::kMul, made<Product>},
    {Operator::kSub, made<Difference>},
    {Operator::kDiv, made<Quotient>},
};
static_assert(holds_all(kFunctions, [](const OperatorEntry& entry) { return entry.work == Work::kBroadcast; }),
              "an operator of two broadcast operands needs its function here");

}  // namespace

Kernel make_binary(const Making& making) { return maker_in(kFunctions, making.node.op)(making); }

}  // namespace netsurgery::plain
