// Bytes of an .nsm file -> graph (docs/format.md). Trusts nothing; refuses what the Python reader refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "file/stored_tensor.hpp"
#include "file/structure_reader.hpp"
#include "graph/graph.hpp"

namespace netsurgery {

/// What a file is granted before it has proved anything; they bound reading, not running.
struct Limits {
  /// Entries of all constants together; 0: what format.hpp grants a file of its size; below 0: none.
  Size elements = 0;
  Size value_elements = Size{1} << 28;  // entries of any value at the smallest sizes
};

/// Reads a file in two steps: the structure at once, then one constant after another, so that none has to be kept.
/// All of it throws Error: NS_ERROR_FILE (damaged or no .nsm file), NS_ERROR_VERSION, NS_ERROR_LIMIT.
class FileReader {
 public:
  /// The bytes have to stay where they are.
  FileReader(const std::uint8_t* content, std::size_t size, const Limits& limits = {});
  ~FileReader();

  /// The network; its constants have their shapes, rows and columns, and no entries.
  const Structure& structure() const { return structure_; }
  /// What all but the constants costs in the file.
  double structure_bits() const { return structure_bits_; }
  /// The next constant, to be called once for each.
  StoredTensor next();
  /// After the last constant: refuses what lies behind it, and a network that contradicts itself at larger sizes.
  void finish();
  Structure take() { return std::move(structure_); }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;  // tables of contexts, too large for the stack of some threads
  Structure structure_;
  double structure_bits_ = 0;
  std::size_t read_ = 0;
};

/// All of a file, and its constants alone. Throw as FileReader does.
Graph read_graph(const std::uint8_t* content, std::size_t size, const Limits& limits = {});
std::vector<std::shared_ptr<Constant>> read_constants(const std::uint8_t* content, std::size_t size,
                                                      const Limits& limits);

}  // namespace netsurgery
