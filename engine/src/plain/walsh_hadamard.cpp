// WalshHadamard along any axis: log2(size) times sums and differences of pairs, half as far apart each time.
#include <algorithm>

#include "plain/makers.hpp"
#include "plain/parts.hpp"

namespace netsurgery::plain {
namespace {

/// Of `count` neighbours each in a and b, which are apart: a + b and a - b.
void butterfly(float* __restrict a, float* __restrict b, Size count) {
  for (Size i = 0; i < count; ++i) {
    const float sum = a[i] + b[i], difference = a[i] - b[i];
    a[i] = sum;
    b[i] = difference;
  }
}

/// The last two stages of `count` entries, a multiple of 4, in one pass: pairs two apart, then neighbours.
void last_stages(float* x, Size count) {
  for (float* end = x + count; x != end; x += 4) {
    const float sum0 = x[0] + x[2], sum1 = x[1] + x[3];
    const float difference0 = x[0] - x[2], difference1 = x[1] - x[3];
    x[0] = sum0 + sum1;
    x[1] = sum0 - sum1;
    x[2] = difference0 + difference1;
    x[3] = difference0 - difference1;
  }
}

class WalshHadamard final : public PlainKernel {
 public:
  WalshHadamard(Size outer, Size size, Size inner)
      : size_(size),
        inner_(inner),
        cost_(outer * size * inner),
        parts_(outer, 1, quotient_up(kPieceEntries, size * inner)) {
    for (Size half = 1; half < size; half *= 2) cost_ += outer * size * inner;
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return cost_; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const Size length = size_ * inner_;
    parts_.each(begin, end, [&](Size row, Size, Size) {
      const float* x = inputs[0] + row * length;
      float* y = output + row * length;
      if (x != y) std::copy(x, x + length, y);
      transform(y, length);
    });
  }

 private:
  /// In place. Halves that fit the nearest cache are finished before the next ones begin.
  void transform(float* x, Size length) const {
    if (length == inner_) return;
    if (inner_ == 1 && length == 4) {
      last_stages(x, length);
      return;
    }
    const Size half = length / 2;
    butterfly(x, x + half, half);
    if (length > kPieceEntries) {
      transform(x, half);
      transform(x + half, half);
      return;
    }
    const bool neighbours = inner_ == 1 && length >= 8;
    for (Size apart = half / 2; apart >= (neighbours ? 4 : inner_); apart /= 2)
      for (Size from = 0; from < length; from += 2 * apart) butterfly(x + from, x + from + apart, apart);
    if (neighbours) last_stages(x, length);
  }

  Size size_, inner_, cost_;
  Parts parts_;
};

}  // namespace

Kernel make_walsh_hadamard(const Making& making) {
  const Shape& x = making.operands[0];
  const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
  return std::make_unique<WalshHadamard>(entries(x, 0, axis), x[axis], entries(x, axis + 1, x.size()));
}

}  // namespace netsurgery::plain
