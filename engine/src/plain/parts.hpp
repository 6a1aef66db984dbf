// How work on rows of entries is cut in pieces: large enough to be worth handing out, small enough to be shared.
#pragma once

#include <algorithm>

#include "graph/graph.hpp"

namespace netsurgery::plain {

constexpr Size kPieceEntries = 8192;  // about; some microseconds of work, and two of them stay in the nearest cache

inline Size entries(const Shape& shape) {
  Size product = 1;
  for (const Size size : shape) product *= size;
  return product;
}

/// Of axes begin .. end - 1 alone.
inline Size entries(const Shape& shape, std::size_t begin, std::size_t end) {
  Size product = 1;
  for (std::size_t axis = begin; axis < end; ++axis) product *= shape[axis];
  return product;
}

inline Size quotient_up(Size a, Size b) { return (a + b - 1) / b; }

/// rows x length entries: pieces are several rows each, or parts of one row.
class Parts {
 public:
  Parts(Size rows, Size length, Size target = kPieceEntries) : rows_(rows), length_(length) {
    target = std::max<Size>(target, 1);
    per_row_ = length >= 2 * target ? length / target : 1;
    // Whole cache lines, as far as rows begin with one, so that threads write none in common.
    block_ = quotient_up(quotient_up(length, per_row_), kUnit) * kUnit;
    per_row_ = quotient_up(length, block_);
    rows_each_ = per_row_ > 1 ? 1 : std::max<Size>(1, target / length);
  }

  Size pieces() const { return quotient_up(rows_, rows_each_) * per_row_; }
  /// The longest part of a row.
  Size longest() const { return std::min(block_, length_); }

  /// visit(row, from, to) for each part of a row in pieces begin .. end - 1.
  template <class Visit>
  void each(Size begin, Size end, Visit&& visit) const {
    if (per_row_ == 1) {
      for (Size row = begin * rows_each_; row < std::min(end * rows_each_, rows_); ++row) visit(row, Size{0}, length_);
      return;
    }
    for (Size piece = begin; piece < end; ++piece) {
      const Size from = piece % per_row_ * block_;
      visit(piece / per_row_, from, std::min(from + block_, length_));
    }
  }

 private:
  static constexpr Size kUnit = 16;

  Size rows_, length_, per_row_, block_, rows_each_;
};

}  // namespace netsurgery::plain
