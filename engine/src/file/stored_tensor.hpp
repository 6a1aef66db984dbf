// A constant as a file holds it (docs/format.md, "Constants"): what was decoded, before it becomes what a reader keeps.
#pragma once

#include <cstdint>
#include <vector>

#include "file/format.hpp"
#include "graph/graph.hpp"

namespace netsurgery {

struct StoredTensor {
  Shape shape;
  Size rows = 1, columns = 1;  // as in Constant
  format::Mask mask = format::Mask::kZero;
  format::Encoding encoding = format::Encoding::kFloats;  // means nothing of a tensor of zeros
  int mantissa = 0;                                       // bits of each float
  bool shared = false;                                    // has each row one mantissa?
  std::vector<std::uint32_t> values;  // float32 bits of all entries, row by row; none of zeros and of planes
  std::vector<std::uint8_t> present;  // codebook, whole numbers: 1 for each entry that has a code
  std::vector<std::uint8_t> codes;    // codebook: places in `table`; whole numbers: count - least; 0 without a code
  Size least = 0, span = 0;           // whole numbers: the smallest count, and how many there are from it on
  std::vector<std::uint32_t> table;   // float32 bits: values of a codebook; scales (rows), of planes (rows, planes)
  int planes = 0;
  std::vector<std::uint8_t> signs;  // (planes, rows, columns), one byte each, 0 or 1
  Size kept = 0;                    // entries that the file has numbers for
  double bits = 0;                  // what it costs in the file

  /// How many distinct values other than +0 there are; -1 for more than kMostCodes.
  Size distinct() const;
};

/// What the engine keeps of it. Planes stay planes; else it becomes kSparse if at most 60 % of its entries differ from
/// +0 (and their places fit in 32 bits), kDense otherwise. -0 is no +0.
Constant kept(StoredTensor tensor);

}  // namespace netsurgery
