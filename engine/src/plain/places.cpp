// Range and Trilu: what an entry is, or whether it stays, depends on where it stands.
#include <algorithm>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

class Range final : public PlainKernel {
 public:
  explicit Range(const Making& making)
      : length_(making.output.back()),
        scale_(static_cast<double>(making.attributes().number(AttributeName::kScale))),
        count_(entries(making.output)),
        parts_(count_ / length_, length_) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const auto start = static_cast<double>(inputs[0][row]);
      float* y = output + row * length_;
      for (Size i = from; i < to; ++i) y[i] = static_cast<float>(start + static_cast<double>(i) * scale_);
    });
  }

 private:
  Size length_;
  double scale_;
  Size count_;
  Parts parts_;
};

template <class Entry>
class Triangle final : public PlainKernel {
 public:
  explicit Triangle(const Making& making)
      : rows_(making.output[making.output.size() - 2]),
        columns_(making.output.back()),
        diagonal_(making.attributes().integer(AttributeName::kDiagonal)),
        upper_(making.attributes().flag(AttributeName::kUpper)),
        count_(entries(making.output)),
        parts_(count_ / columns_, columns_) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      // Entries before `edge` lie below the diagonal, and on it where the upper triangle is none of theirs.
      const Size edge = std::clamp(row % rows_ + diagonal_ + (upper_ ? 0 : 1), from, to);
      const Entry* x = seen_as<Entry>(inputs[0]) + row * columns_;
      Entry* y = seen_as<Entry>(output) + row * columns_;
      const Size kept_from = upper_ ? edge : from, kept_to = upper_ ? to : edge;
      std::fill(y + from, y + kept_from, Entry{});
      std::copy(x + kept_from, x + kept_to, y + kept_from);
      std::fill(y + kept_to, y + to, Entry{});
    });
  }

 private:
  Size rows_, columns_, diagonal_;
  bool upper_;
  Size count_;
  Parts parts_;
};

}  // namespace

Kernel make_range(const Making& making) { return std::make_unique<Range>(making); }

Kernel make_trilu(const Making& making) {
  return with_type(making.node.type,
                   [&](auto entry) -> Kernel { return std::make_unique<Triangle<decltype(entry)>>(making); });
}

}  // namespace netsurgery::plain
