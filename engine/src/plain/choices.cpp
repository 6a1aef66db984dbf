// Integers, Cast, Where: entries of a type that is said, and one of two.
#include <cstring>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

/// A constant of whole numbers, written anew in each run: its memory is free between its last reader and then.
template <class Entry>
class Integers final : public PlainKernel {
 public:
  explicit Integers(const Making& making) : count_(entries(making.output)), parts_(1, count_) {
    for (const Size number : making.attributes().integers(AttributeName::kValues))
      values_.push_back(std::is_same_v<Entry, Bool> ? number != 0 : static_cast<Entry>(number));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_; }
  void run(const float* const*, float* output, Size begin, Size end, float*) const override {
    Entry* y = seen_as<Entry>(output);
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      if (values_.size() == 1)
        std::fill(y + from, y + to, values_[0]);
      else
        std::memcpy(y + from, values_.data() + from, static_cast<std::size_t>(to - from) * sizeof(Entry));
    });
  }

 private:
  Size count_;
  Parts parts_;
  std::vector<Entry> values_;
};

template <class In, class Out>
class Cast final : public PlainKernel {
 public:
  explicit Cast(const Making& making) : count_(entries(making.output)), parts_(1, count_) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const In* __restrict x = seen_as<In>(inputs[0]);
    Out* __restrict y = seen_as<Out>(output);
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      for (Size i = from; i < to; ++i) y[i] = cast<Out>(x[i]);
    });
  }

 private:
  Size count_;
  Parts parts_;
};

template <class Entry>
class Where final : public PlainKernel {
 public:
  explicit Where(const Making& making) : sizes_(making.output), parts_(1, 1), cost_(entries(making.output)) {
    for (std::size_t i = 0; i < 3; ++i) strides_[i] = broadcast_strides(making.operands[i], making.output);
    join_axes(sizes_, {&strides_[0], &strides_[1], &strides_[2]});
    if (!sizes_.empty()) {
      length_ = sizes_.back();
      sizes_.pop_back();
      for (std::size_t i = 0; i < 3; ++i) {
        step_[i] = strides_[i].back();
        strides_[i].pop_back();
      }
    }
    parts_ = Parts(entries(sizes_), length_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return 2 * cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Bool* __restrict condition = seen_as<Bool>(inputs[0]) + place_of(row, sizes_, strides_[0]);
      const Entry* __restrict a = seen_as<Entry>(inputs[1]) + place_of(row, sizes_, strides_[1]);
      const Entry* __restrict b = seen_as<Entry>(inputs[2]) + place_of(row, sizes_, strides_[2]);
      Entry* __restrict y = seen_as<Entry>(output) + row * length_;
      const Size c_step = step_[0], a_step = step_[1], b_step = step_[2];  // 0, or 1 behind joined axes
      if (c_step == 1 && a_step == 1 && b_step == 1) {
        for (Size i = from; i < to; ++i) y[i] = condition[i] ? a[i] : b[i];
      } else if (c_step == 1 && a_step == 0 && b_step == 1) {
        const Entry one = *a;
        for (Size i = from; i < to; ++i) y[i] = condition[i] ? one : b[i];
      } else if (c_step == 1 && a_step == 1 && b_step == 0) {
        const Entry other = *b;
        for (Size i = from; i < to; ++i) y[i] = condition[i] ? a[i] : other;
      } else {
        for (Size i = from; i < to; ++i) y[i] = condition[i * c_step] ? a[i * a_step] : b[i * b_step];
      }
    });
  }

 private:
  Shape sizes_;
  std::vector<Size> strides_[3];
  Size step_[3] = {0, 0, 0};
  Size length_ = 1;
  Parts parts_;
  Size cost_;
};

}  // namespace

Kernel make_integers(const Making& making) {
  return with_type(making.node.type,
                   [&](auto entry) -> Kernel { return std::make_unique<Integers<decltype(entry)>>(making); });
}

Kernel make_cast(const Making& making) {
  return with_type(making.type(0), [&](auto in) {
    return with_type(making.node.type,
                     [&](auto out) -> Kernel { return std::make_unique<Cast<decltype(in), decltype(out)>>(making); });
  });
}

Kernel make_where(const Making& making) {
  return with_type(making.node.type,
                   [&](auto entry) -> Kernel { return std::make_unique<Where<decltype(entry)>>(making); });
}

}  // namespace netsurgery::plain
