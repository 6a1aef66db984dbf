// Bytes of an .nsm file -> graph (docs/format.md). Trusts nothing; refuses what netsurgery/packed/reader.py refuses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "graph/graph.hpp"

namespace netsurgery {

/// What a file is granted before it has proved anything; they bound reading, not running.
struct Limits {
  /// Entries of all constants together; 0: what format.hpp grants a file of its size; below 0: none.
  Size elements = 0;
  Size value_elements = Size{1} << 28;  // entries of any value at the smallest sizes
};

/// Throws Error: NS_ERROR_FILE (damaged or no .nsm file), NS_ERROR_VERSION, NS_ERROR_LIMIT.
Graph read_graph(const std::uint8_t* content, std::size_t size, const Limits& limits = {});

}  // namespace netsurgery
