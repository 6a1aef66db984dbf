// A sparse matrix for one vector at a time, its rows side by side: inputs are picked by permutations of registers.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.hpp"
#include "isa/kernels.hpp"
#include "lanes/aligned.hpp"

namespace netsurgery {

/// Some rows are a group, as many as a register has lanes, and some groups a bundle, which goes through the columns
/// turn by turn: a weight of each row that has one in what the turn sees, or 0. Rows with about as many weights lie in
/// one bundle. In which order the products of a row are added depends on the row and the number of columns alone.
class PickedMatrix {
 public:
  /// True if the kernels have permutations for it, and it takes less time than going from weight to weight.
  static bool pays(const Kernels& kernels, const Constant& weight);
  PickedMatrix(const Kernels& kernels, const Constant& weight);
  /// One, or none where it doesn't pay.
  static std::vector<PickedMatrix> if_it_pays(const Kernels& kernels, const Constant& weight);

  /// Floats of rows in whole groups.
  static Size sums(Size rows) { return (rows + 15) / 16 * 16; }
  /// Floats that a product of so many vectors needs for itself.
  static Size scratch(Size rows, Size vectors) { return vectors * sums(rows); }
  /// output += weight * x for up to kMostPickedVectors rows of x, if all of them are finite; false, and nothing is
  /// done, if they aren't: slots would carry that into rows that have no connection to it. scratch: aligned.
  bool add_products(const float* x, Size vectors, float* output, float* scratch) const;

 private:
  friend class RowMatrix;
  /// most: cycles; without turns if it takes more.
  PickedMatrix(const Kernels& kernels, const Constant& weight, double most);
  /// Cycles of the picked product over those of weight by weight, roughly; infinite where it doesn't pay.
  static double share(const Kernels& kernels, const Constant& weight);

  const Kernels& kernels_;
  Size rows_, inputs_;
  std::vector<std::uint32_t> turns_, starts_;  // turns of each bundle
  AlignedFloats values_;
  std::vector<std::uint32_t, Aligned<std::uint32_t>> places_;
  std::vector<PickedRest> rests_;
  std::vector<std::uint32_t> row_places_;
};

/// Any matrix, for one vector at a time: dense, as above, or weight by weight.
class RowMatrix {
 public:
  RowMatrix(const Kernels& kernels, const Constant& weight) : RowMatrix(kernels, weight, weight) {}
  /// Some rows of a matrix. What they give is what they give as a part of the whole, which decides how it is computed.
  RowMatrix(const Kernels& kernels, const Constant& some, const Constant& whole);
  Size rows() const { return rows_; }
  /// sums += weight * x. sums: aligned, PickedMatrix::sums(rows) of them. What is larger than a cache is best gone
  /// through backwards every other time: it begins with what was read last, which is still there. The bits are the
  /// same. scratch: PickedMatrix::scratch(rows, 1), aligned.
  void add_product(const float* x, float* sums, float* scratch, bool backwards) const;
  /// Cycles of a product, roughly.
  static double cycles(const Kernels& kernels, const Constant& weight);

 private:
  void put_side_by_side(const std::vector<float>& all);

  const Kernels& kernels_;
  Size rows_, inputs_;
  bool dense_;
  AlignedFloats values_;  // dense: as SideBySideRows has them
  std::vector<std::uint32_t> starts_, columns_;
  std::vector<PickedMatrix> picked_;  // one or none
};

}  // namespace netsurgery
