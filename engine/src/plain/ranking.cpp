// ArgMax, ArgMin, TopK, CumSum: along one axis, entry after entry.
#include <algorithm>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

/// x as (outer, size, inner): what works along the middle one.
struct Middle {
  explicit Middle(const Making& making) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    outer = entries(x, 0, axis);
    size = x[axis];
    inner = entries(x, axis + 1, x.size());
  }
  Parts parts() const { return Parts(outer, inner, kPieceEntries / size); }

  Size outer, size, inner;
};

constexpr Size kTogether = 64;  // neighbours that are worked on side by side

/// NaN is the largest of all.
template <class Entry>
bool is_above(Entry a, Entry b) {
  return a > b || (a != a && b == b);
}

template <class Entry, bool largest, bool last>
class Place final : public PlainKernel {
 public:
  explicit Place(const Making& making) : of_(making), parts_(of_.parts()) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return of_.outer * of_.size * of_.inner; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      for (Size first = from; first < to; first += kTogether) {
        const Size count = std::min(kTogether, to - first);
        const Entry* x = seen_as<Entry>(inputs[0]) + row * of_.size * of_.inner + first;
        Entry best[kTogether];
        std::int64_t* y = seen_as<std::int64_t>(output) + row * of_.inner + first;
        std::copy_n(x, count, best);
        std::fill_n(y, count, 0);
        for (Size place = 1; place < of_.size; ++place) {
          x += of_.inner;
          for (Size i = 0; i < count; ++i) {
            if (!replaces(x[i], best[i])) continue;
            best[i] = x[i];
            y[i] = place;
          }
        }
      }
    });
  }

 private:
  /// NaN wins whatever is looked for.
  static bool replaces(Entry a, Entry best) {
    if constexpr (last) return (largest ? a >= best : a <= best) || a != a;
    return (largest ? a > best : a < best) || (a != a && best == best);
  }

  Middle of_;
  Parts parts_;
};

template <class Entry, bool values>
class TopK final : public PlainKernel {
 public:
  explicit TopK(const Making& making)
      : of_(making),
        count_(making.attributes().integer(AttributeName::kCount)),
        largest_(making.attributes().flag(AttributeName::kLargest)),
        parts_(of_.parts()) {}
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return of_.size; }
  Size cost() const override { return 8 * of_.outer * of_.size * of_.inner; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    std::int32_t* order = seen_as<std::int32_t>(scratch);
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      for (Size i = from; i < to; ++i) {
        const Entry* x = seen_as<Entry>(inputs[0]) + row * of_.size * of_.inner + i;
        const auto at = [&](std::int32_t place) { return x[place * of_.inner]; };
        for (Size place = 0; place < of_.size; ++place) order[place] = static_cast<std::int32_t>(place);
        std::partial_sort(order, order + count_, order + of_.size, [&](std::int32_t a, std::int32_t b) {
          const Entry left = at(a), right = at(b);
          if (is_above(left, right)) return largest_;
          if (is_above(right, left)) return !largest_;
          return a < b;
        });
        for (Size rank = 0; rank < count_; ++rank) {
          const Size target = (row * count_ + rank) * of_.inner + i;
          if constexpr (values)
            seen_as<Entry>(output)[target] = at(order[rank]);
          else
            seen_as<std::int64_t>(output)[target] = order[rank];
        }
      }
    });
  }

 private:
  Middle of_;
  Size count_;
  bool largest_;
  Parts parts_;
};

template <class Entry>
class CumSum final : public PlainKernel {
 public:
  explicit CumSum(const Making& making)
      : of_(making),
        exclusive_(making.attributes().flag(AttributeName::kExclusive)),
        reverse_(making.attributes().flag(AttributeName::kReverse)),
        parts_(of_.parts()) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return 2 * of_.outer * of_.size * of_.inner; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      for (Size first = from; first < to; first += kTogether) {
        const Size count = std::min(kTogether, to - first);
        Total totals[kTogether] = {};
        for (Size step = 0; step < of_.size; ++step) {
          const Size place = reverse_ ? of_.size - 1 - step : step;
          const Size offset = (row * of_.size + place) * of_.inner + first;
          const Entry* __restrict x = seen_as<Entry>(inputs[0]) + offset;
          Entry* __restrict y = seen_as<Entry>(output) + offset;
          if (exclusive_)
            for (Size i = 0; i < count; ++i) {
              y[i] = static_cast<Entry>(totals[i]);
              totals[i] += static_cast<Total>(x[i]);
            }
          else
            for (Size i = 0; i < count; ++i) y[i] = static_cast<Entry>(totals[i] += static_cast<Total>(x[i]));
        }
      }
    });
  }

 private:
  struct Wide {
    using Type = double;
  };
  struct Wrapping {
    using Type = Unsigned<std::conditional_t<std::is_same_v<Entry, float>, std::int32_t, Entry>>;
  };
  using Total = typename std::conditional_t<std::is_same_v<Entry, float>, Wide, Wrapping>::Type;

  Middle of_;
  bool exclusive_, reverse_;
  Parts parts_;
};

template <bool largest>
Kernel place(const Making& making) {
  return with_number(making.type(0), [&](auto entry) -> Kernel {
    using Entry = decltype(entry);
    if (making.attributes().flag(AttributeName::kLast)) return std::make_unique<Place<Entry, largest, true>>(making);
    return std::make_unique<Place<Entry, largest, false>>(making);
  });
}

template <bool values>
Kernel top(const Making& making) {
  return with_number(making.type(0),
                     [&](auto entry) -> Kernel { return std::make_unique<TopK<decltype(entry), values>>(making); });
}

}  // namespace

Kernel make_arg_max(const Making& making) { return place<true>(making); }

Kernel make_arg_min(const Making& making) { return place<false>(making); }

Kernel make_top_k_values(const Making& making) { return top<true>(making); }

Kernel make_top_k_indices(const Making& making) { return top<false>(making); }

Kernel make_cum_sum(const Making& making) {
  return with_number(making.type(0),
                     [&](auto entry) -> Kernel { return std::make_unique<CumSum<decltype(entry)>>(making); });
}

}  // namespace netsurgery::plain
