// Entries of constants, bit for bit (docs/format.md, "Constants").
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "file/stream.hpp"
#include "graph/graph.hpp"

namespace netsurgery {

/// Reads constants in the order of the file. Beside a constant itself, what one takes is given back before the next:
/// up to some 15 bytes for each of its entries.
class TensorReader {
 public:
  explicit TensorReader(Stream& stream) : stream_(stream) {}

  /// Fills in a constant whose shape, rows and columns are known. Planes stay planes; else it becomes kSparse if at
  /// most 60 % of its entries differ from +0 (and their places fit in 32 bits), kDense otherwise. -0 is no +0.
  void read(Constant& constant);

 private:
  struct Form {
    int mantissa, exponent;
    bool shared, mixed;
  };
  using Bits = std::vector<std::uint32_t>;
  using Bytes = std::vector<std::uint8_t>;

  Form form(std::size_t kind);
  /// A small table without zeros: the values of a codebook, the scales of planes.
  Bits table(Size rows, Size columns);
  Bits floats(const Grid& grid, const Bytes& mask, const Form& form);
  Bits codebook(const Grid& grid, const Bytes& mask);
  Bits uniform(const Grid& grid, const Bytes& mask);
  void planes(const Grid& grid, Constant& constant);

  Stream& stream_;
  // What the next form of each kind is expected to say: what the one before it said.
  std::array<int, 2> mantissa_{23, 23}, exponent_{124, 124};
};

}  // namespace netsurgery
