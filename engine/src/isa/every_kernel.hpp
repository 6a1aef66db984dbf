// All kernels of one instruction set, as one table. Included by kernels_<set>.cpp, which say for which.
#pragma once

#include "isa/kernel_depthwise.hpp"
#include "isa/kernel_fixed.hpp"
#include "isa/kernel_fixed_depthwise.hpp"
#include "isa/kernel_fixed_movement.hpp"
#include "isa/kernel_fixed_tables.hpp"
#include "isa/kernel_functions.hpp"
#include "isa/kernel_matrix.hpp"
#include "isa/kernel_movement.hpp"
#include "isa/kernel_normalisation.hpp"
#include "isa/kernel_panels.hpp"
#include "isa/kernel_pixels.hpp"
#include "isa/kernel_pool.hpp"
#include "isa/kernel_recurrent.hpp"
#include "isa/kernel_rows.hpp"
#include "isa/kernel_sign_tables.hpp"
#include "isa/kernel_strips.hpp"
#include "isa/kernel_tokens.hpp"
#include "isa/kernel_winograd.hpp"

namespace netsurgery {
namespace NETSURGERY_SET {

static const char* compiled_as() {
#if defined(__AVX512F__)
  return "avx512";
#elif defined(__AVX2__) && defined(__FMA__)
  return "avx2";
#elif defined(__aarch64__)
  return "neon";
#else
  return "portable";
#endif
}

template <int kPlace, int kColumns>
constexpr void put_depthwise(Kernels& table) {
  static_assert(kColumns <= kMostDepthwiseColumns);
  table.depthwise[kPlace][0][kColumns - 1] = depthwise<kDepthwiseTaps[kPlace], 1, kColumns>;
  table.depthwise[kPlace][1][kColumns - 1] = depthwise<kDepthwiseTaps[kPlace], 2, kColumns>;
  if constexpr (kColumns >= kFewestTurnedColumns) {
    auto& turned = table.turned_depthwise[kPlace];
    turned[0][kColumns - kFewestTurnedColumns] = turned_depthwise<kDepthwiseTaps[kPlace], 1, kColumns>;
    turned[1][kColumns - kFewestTurnedColumns] = turned_depthwise<kDepthwiseTaps[kPlace], 2, kColumns>;
  }
}

// Strips of several rows are for narrow tiles; wider ones would only be split again.
template <int kRows, int kColumns>
constexpr void put_strips(Kernels& table) {
  if constexpr (kRows * kColumns <= 8) {
    auto& sparse = table.sparse[kRows - 1][kColumns - 1];
    sparse[0] = sparse_strip<kRows, kColumns, 1>;
    sparse[1] = sparse_strip<kRows, kColumns, 2>;
    sparse[2] = sparse_strip<kRows, kColumns, 0>;
    auto& fixed = table.fixed[kRows - 1][kColumns - 1];
    fixed[0] = fixed_strip<std::int16_t, kRows, kColumns, 1>;
    fixed[1] = fixed_strip<std::int16_t, kRows, kColumns, 2>;
    fixed[2] = fixed_strip<std::int16_t, kRows, kColumns, 0>;
    table.fixed_bytes[kRows - 1][kColumns - 1] = fixed_strip<std::uint8_t, kRows, kColumns, 1>;
    if constexpr (kRows == 1) {
      table.fixed_depthwise[0][0][kColumns - 1] = fixed_depthwise<kFixedDepthwiseTaps[0], 1, kColumns>;
      table.fixed_depthwise[0][1][kColumns - 1] = fixed_depthwise<kFixedDepthwiseTaps[0], 2, kColumns>;
      table.fixed_depthwise[1][0][kColumns - 1] = fixed_depthwise<kFixedDepthwiseTaps[1], 1, kColumns>;
      table.fixed_depthwise[1][1][kColumns - 1] = fixed_depthwise<kFixedDepthwiseTaps[1], 2, kColumns>;
      put_depthwise<0, kColumns>(table);
      put_depthwise<1, kColumns>(table);
      put_depthwise<2, kColumns>(table);
    }
  }
}

template <int kVectors>
constexpr void put_panels(Kernels& table) {
  if constexpr (kVectors <= kDenseVectors) {
    table.dense[kVectors - 1] = dense_panel<kVectors>;
  }
}

template <int kRows>
constexpr void put_row_of_strips(Kernels& table) {
  put_strips<kRows, 1>(table);
  put_strips<kRows, 2>(table);
  put_strips<kRows, 3>(table);
  put_strips<kRows, 4>(table);
  put_strips<kRows, 5>(table);
  put_strips<kRows, 6>(table);
  put_strips<kRows, 7>(table);
  put_strips<kRows, 8>(table);
}

constexpr Kernels table(Instructions instructions) {
  Kernels made{};
  made.instructions = instructions;
  made.compiled_as = compiled_as;
  made.most_vectors = kRegisters / kParts >= 16 ? 8 : kRegisters / kParts - 1;
  made.dense_channels = kDenseChannels;
  made.dense_vectors = kDenseVectors;
  made.table_sums_together = kTableSums;
  made.dense_cycles = kDenseCycles;
  put_panels<1>(made);
  put_panels<2>(made);
  put_panels<3>(made);
  put_panels<4>(made);
  made.pack_pixels = pack_pixels;
  made.finish_pixels = finish_pixels;
  made.winograd_inputs = winograd_inputs;
  made.winograd_outputs = winograd_outputs;
  put_row_of_strips<1>(made);
  put_row_of_strips<2>(made);
  put_row_of_strips<3>(made);
  put_row_of_strips<4>(made);
  made.pool = pool_row;
  made.sum_lanes = sum_lanes;
  made.normalise = normalise;
  put_functions(made);
  put_pairs(made);
  made.scale_channels = scale_channels;
  made.quantize_channels = quantize_channels;
  made.softmax_row = softmax_row;
  made.log_softmax_row = log_softmax_row;
  made.softmax_columns = softmax_columns;
  made.layer_norm_row = layer_norm_row;
  made.product_vectors = kProductVectors;
  made.product = product;
  made.attend = attend;
  made.normalise_tokens = normalise_tokens;
  made.turn = turn;
  made.turning_cycles = kTurningCycles;
  made.tables = sum_tables;
  made.table_sums = table_sums;
  made.fixed_tables = fixed_tables;
  made.fixed_table_sums = fixed_table_sums;
  made.fixed_planes = fixed_planes;
  made.number_tables = number_tables;
  made.table_rows = table_rows;
  made.sparse_rows = sparse_rows;
  made.dense_rows = dense_rows;
  made.vectors_side_by_side = kVectorsSideBySide;
  made.side_by_side_rows = side_by_side_rows;
  made.picking = kPicking;
  made.picked_rows = kPickedRows;
  made.lstm_cells = lstm_cells;
  made.gru_cells = gru_cells;
  made.rnn_cells = rnn_cells;
  made.fixed_shuffle = fixed_shuffle;
  made.pack_bytes = pack_bytes;
  made.pick_vectors = kPickVectors<float>;
  made.fixed_pick_vectors = kPickVectors<std::int16_t>;
  made.fixed_pool = fixed_pool;
  made.fixed_sum_lanes = fixed_sum_lanes;
  made.fixed_separate = fixed_separate;
  made.fixed_interleave = fixed_interleave;
  made.fixed_from_floats = fixed_from_floats;
  made.fixed_to_floats = fixed_to_floats;
  made.shuffle = shuffle_lanes;
  made.pick = pick;
  made.interleave = interleave_lanes;
  made.separate = separate_lanes;
  return made;
}

}  // namespace NETSURGERY_SET
}  // namespace netsurgery
