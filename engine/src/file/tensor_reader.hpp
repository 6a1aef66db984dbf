// Entries of constants, bit for bit (docs/format.md, "Constants").
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "file/stored_tensor.hpp"
#include "file/stream.hpp"

namespace netsurgery {

/// Reads constants in the order of the file. Takes up to some 15 bytes for each entry while it does.
class TensorReader {
 public:
  explicit TensorReader(Stream& stream) : stream_(stream) {}

  /// The next constant, of which shape, rows and columns are known. Every value of it is finite.
  StoredTensor read(const Constant& declared);

 private:
  struct Form {
    int mantissa, exponent;
    bool shared, mixed;
  };
  using Bits = std::vector<std::uint32_t>;
  using Bytes = std::vector<std::uint8_t>;

  Grid grid_of(const StoredTensor& tensor);
  void entries(const Grid& grid, std::size_t kind, StoredTensor& tensor);
  Form form(std::size_t kind);
  /// A small table without zeros: the values of a codebook, the scales of planes.
  Bits table(Size rows, Size columns);
  Bits floats(const Grid& grid, const Bytes& mask, const Form& form);
  void codebook(const Grid& grid, StoredTensor& tensor);
  void uniform(const Grid& grid, StoredTensor& tensor);
  void planes(const Grid& grid, StoredTensor& tensor);

  Stream& stream_;
  // What the next form of each kind is expected to say: what the one before it said.
  std::array<int, 2> mantissa_{23, 23}, exponent_{124, 124};
};

}  // namespace netsurgery
