// MatMul of two values, as numpy.matmul: leading axes broadcast, vectors have an axis added that is taken away again.
//
// Every sum runs over the shared axis in order, whatever is computed beside it.
#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"

namespace netsurgery::plain {
namespace {

constexpr Size kLanes = 16;
constexpr Size kFewRows = 6;    // with fewer, copying b takes longer than reading it where it lies
constexpr Size kDepth = 256;    // of the shared axis that is copied together, so that panels fit the first cache
constexpr Size kColumns = 256;  // that are copied together, so that all panels fit the second cache
constexpr Size kRows = 48;      // of a that meet all panels, one after another

class MatMul final : public PlainKernel {
 public:
  explicit MatMul(const Making& making) : kernels_(making.kernels), parts_(1, 1) {
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
    width_ = kLanes * making.kernels.product_vectors;
    const Size enough = std::max<Size>(kPieceEntries * 8 / (rows_ * depth_), kColumns);
    parts_ = Parts(matrices_, columns_, quotient_up(enough, width_) * width_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size scratch() const override { return std::min(depth_, kDepth) * copied_columns() + kFewRows * width_; }
  Size cost() const override { return matrices_ * rows_ * columns_ * depth_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float* scratch) const override {
    parts_.each(begin, end, [&](Size matrix, Size from, Size to) {
      const float* a = inputs[0] + place_of(matrix, batch_, a_) * rows_ * depth_;
      const float* b = inputs[1] + place_of(matrix, batch_, b_) * depth_ * columns_;
      float* y = output + matrix * rows_ * columns_;
      if (columns_ == 1) {
        one_column(a, b, y);
        return;
      }
      Size column = from;
      if (rows_ < kFewRows) {
        const Size whole = (to - from) / kLanes;
        if (whole > 0) multiply(a, b + from, columns_, 0, depth_, 0, rows_, whole, y + from, columns_);
        column += whole * kLanes;
      }
      for (; column < to; column += kColumns)
        panels(a, b + column, std::min(kColumns, to - column), y + column, scratch);
    });
  }

 private:
  void one_column(const float* a, const float* b, float* y) const {
    DenseRows work{};
    work.input = b;
    work.weights = a;
    work.inputs = depth_;
    work.output = y;
    work.rows = rows_;
    kernels_.dense_rows(work);
  }

  /// Some columns, in vectors, from the part of the shared axis that `b` begins with; with what `y` holds of those
  /// before.
  void multiply(const float* a, const float* b, Size b_step, Size begin, Size depth, Size row, Size rows, Size vectors,
                float* y, Size y_row) const {
    Product work{};
    work.a = a + row * depth_ + begin;
    work.a_row = depth_;
    work.a_step = 1;
    work.b = b;
    work.b_step = b_step;
    work.output = y;
    work.output_row = y_row;
    work.rows = rows;
    work.vectors = vectors;
    work.depth = depth;
    work.goes_on = begin > 0;
    kernels_.product(work);
  }

  Size copied_columns() const { return std::min(kColumns, quotient_up(columns_, kLanes) * kLanes); }

  /// Columns of b are copied side by side, panel after panel, as whole vectors.
  void panels(const float* a, const float* b, Size columns, float* y, float* copied) const {
    float* const few = copied + std::min(depth_, kDepth) * copied_columns();
    for (Size begin = 0; begin < depth_; begin += kDepth) {
      const Size depth = std::min(kDepth, depth_ - begin);
      for (Size column = 0; column < columns; column += width_) {
        const Size width = std::min(width_, columns - column), step = quotient_up(width, kLanes) * kLanes;
        for (Size j = 0; j < depth; ++j) {
          float* const to = copied + column * depth + j * step;
          std::copy_n(b + (begin + j) * columns_ + column, width, to);
          std::fill(to + width, to + step, 0.0f);
        }
      }
      for (Size row = 0; row < rows_; row += kRows)
        for (Size column = 0; column < columns; column += width_)
          panel(a, copied + column * depth, begin, depth, row, std::min(kRows, rows_ - row),
                std::min(width_, columns - column), y + column, few);
    }
  }

  /// Some rows of a times a panel; where that is no whole vectors, by way of memory for a few rows.
  void panel(const float* a, const float* b, Size begin, Size depth, Size row, Size rows, Size width, float* y,
             float* few) const {
    const Size vectors = quotient_up(width, kLanes), step = vectors * kLanes;
    if (width == step) {
      multiply(a, b, step, begin, depth, row, rows, vectors, y + row * columns_, columns_);
      return;
    }
    for (const Size end = row + rows; row < end; row += kFewRows) {
      const Size count = std::min(kFewRows, end - row);
      if (begin > 0)
        for (Size r = 0; r < count; ++r) std::copy_n(y + (row + r) * columns_, width, few + r * step);
      multiply(a, b, step, begin, depth, row, count, vectors, few, step);
      for (Size r = 0; r < count; ++r) std::copy_n(few + r * step, width, y + (row + r) * columns_);
    }
  }

  const Kernels& kernels_;
  Size rows_, depth_, columns_, matrices_, width_;
  Shape batch_;
  std::vector<Size> a_, b_;  // strides, in matrices
  Parts parts_;
};

}  // namespace

Kernel make_mat_mul(const Making& making) { return std::make_unique<MatMul>(making); }

}  // namespace netsurgery::plain
