// Stretches of numbers, and a whole cut into them.
#pragma once

#include <vector>

#include "lanes/layout.hpp"

namespace netsurgery {

struct Range {
  Size begin, end;  // [begin, end)
  Size count() const { return end - begin; }
};

inline std::vector<Range> equal_parts(Size whole, Size count) {
  std::vector<Range> result;
  for (Size i = 0; i < count; ++i) result.push_back({whole * i / count, whole * (i + 1) / count});
  return result;
}

/// As few parts as possible of at most `most`, as equal as possible.
inline std::vector<Range> parts(Size whole, Size most) { return equal_parts(whole, ceil_divided(whole, most)); }

}  // namespace netsurgery
