#include "lanes/picked_rows.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "lanes/ranges.hpp"
#include "lanes/rows.hpp"

namespace netsurgery {
namespace {

constexpr Size kMostKept = 1 << 18;  // weights: of more, memory decides
constexpr double kGain = 1.2;        // by which it has to be faster: estimates are no better than that
constexpr std::size_t kMostRows = kPickedTogether * 16;  // of a bundle

/// The turns of a bundle of rows. A window begins with the first column that is left in any of its rows, and each row
/// that has its next weight in it gives that one: rows that lag behind catch up, and those ahead wait.
class Turns {
 public:
  Turns(const Picking& picking, const Constant& weight, Size bundle)
      : picking_(picking), weight_(weight), last_(std::max<Size>(0, weight.columns - picking.columns)) {
    const Size first = bundle * picking.rows();
    for (Size row = first; row < std::min(first + picking.rows(), weight.rows); ++row) {
      const auto place = static_cast<std::size_t>(row - first), number = static_cast<std::size_t>(row);
      next_[place] = weight.start[number];
      end_[place] = weight.start[number + 1];
      skip_zeros(place);
    }
  }

  /// Of each row, which weight it gives: a number in `values`, or kNone; and where its window begins.
  struct Turn {
    std::array<std::uint32_t, kMostRows> taken;
    std::array<Size, kPickedTogether> starts;  // of as many windows as a turn has
  };
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  /// False behind the last one.
  bool next(Turn& turn) {
    bool any = false;
    const auto windows = static_cast<std::size_t>(picking_.windows());
    const std::size_t rows = static_cast<std::size_t>(picking_.rows()) / windows;  // that share one
    for (std::size_t window = 0; window < windows; ++window) {
      const std::size_t begin = window * rows, end = begin + rows;
      Size first = weight_.columns;
      for (std::size_t row = begin; row < end; ++row)
        if (next_[row] < end_[row]) first = std::min<Size>(first, weight_.column[next_[row]]);
      any = any || first < weight_.columns;
      const Size start = turn.starts[window] = std::min(first / picking_.alignment * picking_.alignment, last_);
      for (std::size_t row = begin; row < end; ++row) {
        const bool sees = next_[row] < end_[row] && weight_.column[next_[row]] < start + picking_.columns;
        turn.taken[row] = sees ? next_[row]++ : kNone;
        if (sees) skip_zeros(row);
      }
    }
    return any;
  }

 private:
  void skip_zeros(std::size_t row) {
    while (next_[row] < end_[row] && weight_.values[next_[row]] == 0.0f) ++next_[row];
  }

  const Picking& picking_;
  const Constant& weight_;
  const Size last_;  // where a window may begin
  std::array<std::uint32_t, kMostRows> next_{}, end_{};
};

/// Told from exponents, as compilers make vectors of that.
bool all_finite(const float* x, Size count) {
  constexpr std::uint32_t kExponent = 0x7F800000u;
  std::uint32_t found = 0;
  for (Size i = 0; i < count; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    found |= (bits & kExponent) == kExponent ? 1u : 0u;
  }
  return found == 0;
}

}  // namespace

/// Cycles of the picked product over those of weight by weight, roughly; infinite where it doesn't pay.
double PickedMatrix::share(const Kernels& kernels, const Constant& weight) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  const Picking& picking = kernels.picking;
  if (!picking.lanes || weight.form != Constant::Form::kSparse || prefers_dense_rows(weight)) return kNone;
  if (weight.kept > kMostKept) return kNone;
  const Size bundles = ceil_divided(weight.rows, picking.rows());
  const double one_by_one = static_cast<double>(weight.kept) * picking.weight_cycles +
                            static_cast<double>(weight.rows + 1) * picking.row_cycles;
  double picked = static_cast<double>(bundles) * picking.bundle_cycles;
  Turns::Turn turn;
  for (Size bundle = 0; bundle < bundles; ++bundle)
    for (Turns left(picking, weight, bundle); left.next(turn);) {
      picked += picking.turn_cycles;
      if (picked * kGain >= one_by_one) return kNone;
    }
  return picked / one_by_one;
}

bool PickedMatrix::pays(const Kernels& kernels, const Constant& weight) { return share(kernels, weight) < 1; }

PickedMatrix::PickedMatrix(const Kernels& kernels, const Constant& weight)
    : kernels_(kernels),
      inputs_(weight.columns),
      sums_(sums(weight.rows)),
      groups_(ceil_divided(weight.rows, kernels.picking.lanes)) {
  const Picking& picking = kernels.picking;
  const auto lanes = static_cast<std::size_t>(picking.lanes), windows = static_cast<std::size_t>(picking.windows());
  for (Size bundle = 0; bundle < ceil_divided(weight.rows, picking.rows()); ++bundle) {
    turns_.push_back(0);
    Turns::Turn turn;
    for (Turns left(picking, weight, bundle); left.next(turn); ++turns_.back()) {
      for (std::size_t window = 0; window < windows; ++window)
        starts_.push_back(static_cast<std::uint32_t>(turn.starts[window]));
      const std::size_t places = places_.size();
      places_.resize(places + lanes, 0);
      for (std::size_t group = 0; group < kPickedTogether; ++group)
        for (std::size_t lane = 0; lane < lanes; ++lane) {
          const std::uint32_t i = turn.taken[group * lanes + lane];
          values_.push_back(i == Turns::kNone ? 0.0f : weight.values[i]);
          if (i == Turns::kNone) continue;
          const Size start = turn.starts[picking.shares ? 0 : group];
          places_[places + lane] |= static_cast<std::uint32_t>(weight.column[i] - start) << (8 * group);
        }
    }
  }
  values_.shrink_to_fit();  // they stay for as long as the plan
  places_.shrink_to_fit();
}

bool PickedMatrix::add_products(const float* x, Size vectors, float* sums) const {
  if (!all_finite(x, vectors * inputs_)) return false;
  PickedRows work{};
  work.input = x;
  work.inputs = inputs_;
  work.vectors = static_cast<int>(vectors);
  work.next_input = inputs_;
  work.next_sums = sums_;
  work.sums = sums;
  work.groups = groups_;
  work.turns = turns_.data();
  work.starts = starts_.data();
  work.values = values_.data();
  work.places = places_.data();
  kernels_.picked_rows(work);
  return true;
}

RowMatrix::RowMatrix(const Kernels& kernels, const Constant& weight, const Constant& whole)
    : kernels_(kernels), rows_(weight.rows), inputs_(weight.columns), dense_(prefers_dense_rows(whole)) {
  if (dense_) {
    put_side_by_side(DenseEntries(weight).all());
    return;
  }
  const std::vector<float> all = weight.form == Constant::Form::kSparse ? std::vector<float>() : weight.dense();
  values_.reserve(static_cast<std::size_t>(weight.kept));
  columns_.reserve(static_cast<std::size_t>(weight.kept));
  starts_.push_back(0);
  for (Size row = 0; row < rows_; ++row) {
    const auto r = static_cast<std::size_t>(row);
    const std::size_t begin = all.empty() ? weight.start[r] : r * static_cast<std::size_t>(inputs_);
    const std::size_t end = all.empty() ? weight.start[r + 1] : begin + static_cast<std::size_t>(inputs_);
    const std::vector<float>& given = all.empty() ? weight.values : all;
    for (std::size_t i = begin; i < end; ++i) {
      if (given[i] == 0.0f) continue;
      values_.push_back(given[i]);
      columns_.push_back(all.empty() ? weight.column[i] : static_cast<std::uint32_t>(i - begin));
    }
    starts_.push_back(static_cast<std::uint32_t>(values_.size()));
  }
  if (PickedMatrix::pays(kernels, whole)) picked_.emplace_back(kernels, weight);
}

void RowMatrix::put_side_by_side(const std::vector<float>& all) {
  const Size together = kernels_.vectors_side_by_side * kVector, whole = PickedMatrix::sums(rows_);
  values_.assign(static_cast<std::size_t>(whole * inputs_), 0.0f);
  for (Size row = 0; row < rows_; ++row) {
    const Size first = row / together * together, width = std::min(together, whole - first);
    for (Size input = 0; input < inputs_; ++input)
      values_[static_cast<std::size_t>(first * inputs_ + input * width + row - first)] =
          all[static_cast<std::size_t>(row * inputs_ + input)];
  }
}

void RowMatrix::add_product(const float* x, float* sums, bool backwards) const {
  if (!picked_.empty() && picked_.front().add_products(x, 1, sums)) return;
  if (dense_) {
    SideBySideRows work{};
    work.input = x;
    work.inputs = inputs_;
    work.weights = values_.data();
    work.vectors = PickedMatrix::sums(rows_) / kVector;
    work.sums = sums;
    work.backwards = backwards;
    kernels_.side_by_side_rows(work);
    return;
  }
  SparseRows work{};
  work.input = x;
  work.starts = starts_.data();
  work.columns32 = columns_.data();
  work.values = values_.data();
  work.bias = work.output = sums;
  work.rows = rows_;
  kernels_.sparse_rows(work);
}

double RowMatrix::cycles(const Kernels& kernels, const Constant& weight) {
  return rows_cycles(weight, 1) * std::min(1.0, PickedMatrix::share(kernels, weight));
}

}  // namespace netsurgery
