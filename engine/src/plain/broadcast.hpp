// Two operands that broadcast as in NumPy, one entry of each for every entry of the output.
#pragma once

#include <memory>

#include "plain/kernel.hpp"
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {

/// What kernels of two operands have in common: along the last axis each of them goes on, or stays.
class TwoOperands : public PlainKernel {
 public:
  Size pieces() const final { return parts_.pieces(); }
  Size cost() const final { return cost_; }

 protected:
  explicit TwoOperands(const Making& making)
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

  /// Calls work(place in a, place in b, place in the output, how many) for each part of a row in [begin, end).
  template <class Work>
  void each(Size begin, Size end, const Work& work) const {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      work(place_of(row, sizes_, a_) + (a_moves_ ? from : 0), place_of(row, sizes_, b_) + (b_moves_ ? from : 0),
           row * length_ + from, to - from);
    });
  }
  bool a_moves() const { return a_moves_; }
  bool b_moves() const { return b_moves_; }

 private:
  Shape sizes_;
  std::vector<Size> a_, b_;
  Size length_ = 1;
  bool a_moves_ = false, b_moves_ = false;
  Parts parts_;
  Size cost_;
};

template <class Of, class In, class Out>
class Binary final : public TwoOperands {
 public:
  explicit Binary(const Making& making) : TwoOperands(making) {}
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    each(begin, end, [&](Size in_a, Size in_b, Size in_output, Size count) {
      const In* __restrict a = seen_as<In>(inputs[0]) + in_a;
      const In* __restrict b = seen_as<In>(inputs[1]) + in_b;
      Out* __restrict y = seen_as<Out>(output) + in_output;
      constexpr Of of{};
      if (a_moves() && b_moves()) {
        for (Size i = 0; i < count; ++i) y[i] = of(a[i], b[i]);
      } else if (a_moves()) {
        const In right = *b;
        for (Size i = 0; i < count; ++i) y[i] = of(a[i], right);
      } else {
        const In left = *a;
        if (b_moves())
          for (Size i = 0; i < count; ++i) y[i] = of(left, b[i]);
        else
          for (Size i = 0; i < count; ++i) y[i] = of(left, *b);
      }
    });
  }
};

}  // namespace netsurgery::plain
