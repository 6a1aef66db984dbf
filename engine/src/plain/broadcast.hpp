// Two operands that broadcast as in NumPy, one entry of each for every entry of the output.
#pragma once

#include <memory>

#include "plain/kernel.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {

/// Along the last axis both operands go on, or one of them stays.
template <class Of, class In, class Out>
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
      const In* __restrict a = seen_as<In>(inputs[0]) + place_of(row, sizes_, a_);
      const In* __restrict b = seen_as<In>(inputs[1]) + place_of(row, sizes_, b_);
      Out* __restrict y = seen_as<Out>(output) + row * length_;
      constexpr Of of{};
      if (a_moves_ && b_moves_) {
        for (Size i = from; i < to; ++i) y[i] = of(a[i], b[i]);
      } else if (a_moves_) {
        const In right = *b;
        for (Size i = from; i < to; ++i) y[i] = of(a[i], right);
      } else {
        const In left = *a;
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

}  // namespace netsurgery::plain
