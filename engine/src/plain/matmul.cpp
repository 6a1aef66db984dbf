// MatMul of two values, as numpy.matmul: leading axes broadcast, vectors have an axis added that is taken away again.
//
// Every sum runs over the shared axis in order, whatever is computed beside it.
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/runs.hpp"
#include "plain/strides.hpp"

namespace netsurgery::plain {
namespace {

constexpr Size kRows = 4, kColumns = 8;  // of output that are summed together
constexpr Size kDepth = 512;             // of the shared axis that is copied together

class MatMul final : public PlainKernel {
 public:
  explicit MatMul(const Making& making) : parts_(1, 1) {
    Shape a = making.operands[0], b = making.operands[1];
    if (a.size() == 1) a.insert(a.begin(), 1);
    if (b.size() == 1) b.push_back(1);
    rows_ = a[a.size() - 2];
    depth_ = a.back();
    columns_ = b.back();
    // As axes of whole matrices.
    a.resize(a.size() - 2);
    b.resize(b.size() - 2);
    const bool longer = a.size() > b.size();
    batch_ = longer ? a : b;
    const Shape& shorter = longer ? b : a;
    for (std::size_t i = 0; i < shorter.size(); ++i) {
      Size& size = batch_[batch_.size() - shorter.size() + i];
      size = std::max(size, shorter[i]);
    }
    a_ = broadcast_strides(a, batch_);
    b_ = broadcast_strides(b, batch_);
    join_axes(batch_, {&a_, &b_});
    matrices_ = entries(batch_);
    parts_ = Parts(matrices_, columns_, std::max(kPieceEntries * 4 / (rows_ * depth_), 4 * kColumns));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return std::min(depth_, kDepth) * kColumns; }
  Size cost() const override { return matrices_ * rows_ * columns_ * depth_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    parts_.each(begin, end, [&](Size matrix, Size from, Size to) {
      const float* a = inputs[0] + place_of(matrix, batch_, a_) * rows_ * depth_;
      const float* b = inputs[1] + place_of(matrix, batch_, b_) * depth_ * columns_;
      float* y = output + matrix * rows_ * columns_;
      if (rows_ < kRows) {
        few_rows(a, b, from, to, y);
        return;
      }
      for (Size column = from; column < to; column += kColumns)
        panel(a, b, column, std::min(kColumns, to - column), y, scratch);
    });
  }

 private:
  /// Row by row of b, which is read once for each row of a.
  void few_rows(const float* a, const float* b, Size from, Size to, float* output) const {
    for (Size row = 0; row < rows_; ++row) {
      float* __restrict y = output + row * columns_;
      std::fill(y + from, y + to, 0.0f);
      for (Size j = 0; j < depth_; ++j) {
        const float value = a[row * depth_ + j];
        const float* __restrict x = b + j * columns_;
        for (Size column = from; column < to; ++column) y[column] += value * x[column];
      }
    }
  }

  /// Columns column .. column + width - 1 of the result, with these columns of b copied side by side.
  void panel(const float* a, const float* b, Size column, Size width, float* y, float* __restrict copied) const {
    for (Size begin = 0; begin < depth_; begin += kDepth) {
      const Size depth = std::min(kDepth, depth_ - begin);
      for (Size j = 0; j < depth; ++j) {
        const float* x = b + (begin + j) * columns_ + column;
        for (Size k = 0; k < kColumns; ++k) copied[j * kColumns + k] = k < width ? x[k] : 0.0f;
      }
      Size row = 0;
      for (; row + kRows <= rows_; row += kRows)
        tile<kRows>(a + row * depth_ + begin, copied, depth, begin == 0, width, y + row * columns_ + column);
      for (; row < rows_; ++row)
        tile<1>(a + row * depth_ + begin, copied, depth, begin == 0, width, y + row * columns_ + column);
    }
  }

  template <Size kCount>
  void tile(const float* __restrict a, const float* __restrict b, Size depth, bool is_first, Size width,
            float* y) const {
    float sums[kCount][kColumns] = {};
    if (!is_first)
      for (Size r = 0; r < kCount; ++r)
        for (Size k = 0; k < width; ++k) sums[r][k] = y[r * columns_ + k];
    for (Size j = 0; j < depth; ++j)
      for (Size r = 0; r < kCount; ++r)
        for (Size k = 0; k < kColumns; ++k) sums[r][k] += a[r * depth_ + j] * b[j * kColumns + k];
    for (Size r = 0; r < kCount; ++r)
      for (Size k = 0; k < width; ++k) y[r * columns_ + k] = sums[r][k];
  }

  Size rows_, depth_, columns_, matrices_;
  Shape batch_;
  std::vector<Size> a_, b_;  // strides, in matrices
  Parts parts_;
};

}  // namespace

Kernel make_matmul(const Making& making) { return std::make_unique<MatMul>(making); }

}  // namespace netsurgery::plain
