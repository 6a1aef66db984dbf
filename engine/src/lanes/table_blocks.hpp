// Layers of binary planes as blocks of tables: which inputs make them, and which of their entries each output takes.
#pragma once

#include <cstdint>
#include <vector>

#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

constexpr Size kFewestTableOutputs = 32;  // of a group: making a table takes as long as some of them
constexpr Size kMostTablesInBlock = 22;   // which the first cache holds: 1 kB each, floats or whole numbers

/// A plane's signs of up to four inputs as an entry of their table.
std::uint32_t entry_of(const Constant& weight, Size plane, Size row, Size first, Size last);

/// Some inputs of one group of a convolution, and the outputs that see them. Offsets and entries are those of
/// SignTables and TableSums.
struct TableBlock {
  Size first_output, last_output;
  bool begins, finishes;  // sums
  std::vector<std::uint32_t> offsets;
  std::vector<std::uint16_t> entries;

  Size tables() const { return ceil_divided(static_cast<Size>(offsets.size()), kTableInputs); }
  /// Those of an output and all behind it.
  const std::uint16_t* entries_from(Size output, int planes) const {
    return entries.data() + (output - first_output) * tables() * planes;
  }
};

/// tables: the most of a block. together: outputs that kernels work on at a time.
std::vector<TableBlock> table_blocks(const Convolution& convolution, const Layout& input, Size tables, Size together);

}  // namespace netsurgery
