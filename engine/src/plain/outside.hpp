// Whole numbers that are no places where they are looked up: noted while a network runs, said when it has.
#pragma once

#include <atomic>
#include <string>

#include "graph/graph.hpp"

namespace netsurgery::plain {

/// The last index that was none of so many places. Kernels are constant while they run, and several threads may be at
/// it: whichever was last is said.
class Outside {
 public:
  /// The place of an index that counts from the front or, below 0, from the end; -1, and noted, if it is none.
  Size place(Size index, Size size) const {
    const Size found = index < 0 ? index + size : index;
    if (found >= 0 && found < size) return found;
    index_.store(index, std::memory_order_relaxed);
    size_.store(size, std::memory_order_relaxed);
    return -1;
  }
  /// A sentence, or "" if every index was a place; it is forgotten then.
  std::string said() const {
    const Size size = size_.exchange(0, std::memory_order_relaxed);
    if (size == 0) return "";
    const std::string last = std::to_string(size - 1), all = std::to_string(size);
    return "index " + std::to_string(index_.load(std::memory_order_relaxed)) + " is none of " + all + " places: 0 to " +
           last + " are, or -" + all + " to -1.";
  }

 private:
  mutable std::atomic<Size> index_{0}, size_{0};  // 0 places: nothing was noted
};

}  // namespace netsurgery::plain
