// A constant weight as rows of those entries that are not 0.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.hpp"

namespace netsurgery::plain {

/// A connection of weight 0 (or -0) was pruned: it isn't there, and carries nothing, not even 0 * NaN.
struct SparseRows {
  std::vector<float> values;
  std::vector<std::uint32_t> columns;
  std::vector<std::size_t> starts;  // one more than rows

  explicit SparseRows(const Constant& weight) {
    starts.push_back(0);
    const bool sparse = weight.form == Constant::Form::kSparse;
    const std::vector<float> all = weight.form == Constant::Form::kPlanes ? weight.dense() : std::vector<float>();
    const std::vector<float>& given = weight.form == Constant::Form::kPlanes ? all : weight.values;
    for (Size row = 0; row < weight.rows; ++row) {
      const auto r = static_cast<std::size_t>(row);
      const std::size_t begin = sparse ? weight.start[r] : r * static_cast<std::size_t>(weight.columns);
      const std::size_t end = sparse ? weight.start[r + 1] : begin + static_cast<std::size_t>(weight.columns);
      for (std::size_t i = begin; i < end; ++i) {
        if (given[i] == 0.0f) continue;
        values.push_back(given[i]);
        columns.push_back(sparse ? weight.column[i] : static_cast<std::uint32_t>(i - begin));
      }
      starts.push_back(values.size());
    }
  }
};

}  // namespace netsurgery::plain
