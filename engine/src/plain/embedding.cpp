// Embedding: rows of a table, by number.
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "plain/makers.hpp"
#include "plain/outside.hpp"
#include "plain/parts.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

template <class Number>
class Embedding final : public PlainKernel {
 public:
  bool may_fail() const override { return true; }
  std::string fault() const override { return outside_.said(); }
  explicit Embedding(const Making& making)
      : rows_(making.constant(1)->rows),
        width_(making.constant(1)->columns),
        count_(entries(making.operands[0])),
        weight_(making.constant(1)->weak_from_this().lock()),
        parts_(count_, width_) {
    const Constant& weight = *making.constant(1);
    if (weight.form == Constant::Form::kDense) {
      table_ = weight.values.data();  // shared with the graph: a vocabulary is large
    } else {
      own_ = weight.dense();
      table_ = own_.data();
      weight_ = nullptr;
    }
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_ * width_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const Number* numbers = seen_as<Number>(inputs[0]);
    parts_.each(begin, end, [&](Size place, Size from, Size to) {
      const Size row = outside_.place(static_cast<Size>(numbers[place]), rows_);
      float* y = output + place * width_;
      if (row < 0)
        std::fill(y + from, y + to, std::numeric_limits<float>::quiet_NaN());
      else
        std::memcpy(y + from, table_ + row * width_ + from, static_cast<std::size_t>(to - from) * sizeof(float));
    });
  }

 private:
  Outside outside_;
  Size rows_, width_, count_;
  std::shared_ptr<const Constant> weight_;
  std::vector<float> own_;
  const float* table_;
  Parts parts_;
};

}  // namespace

Kernel make_embedding(const Making& making) {
  return with_whole(making.type(0),
                    [&](auto number) -> Kernel { return std::make_unique<Embedding<decltype(number)>>(making); });
}

}  // namespace netsurgery::plain
