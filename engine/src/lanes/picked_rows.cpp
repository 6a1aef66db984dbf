#include "lanes/picked_rows.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

#include "lanes/ranges.hpp"
#include "lanes/rows.hpp"

namespace netsurgery {
namespace {

constexpr Size kMostKept = 1 << 18;        // weights: of more, memory decides
constexpr Size kMostColumns = 1 << 14;     // of more, rows have too few in what a turn sees
constexpr double kGain = 1.2;              // by which it has to be faster: estimates are no better than that
constexpr double kCyclesPerPlacedRow = 1;  // for its sum to go where it belongs
constexpr Size kBlock = 16;                // columns of one of the two blocks that a turn sees

/// A weight in a turn: a number in `values`, and where its column lies in what the turn sees.
struct Slot {
  std::uint32_t turn, weight, place;
};

/// Of which two blocks of columns each turn of a bundle sees the inputs: all blocks meet all others, as the teams of a
/// tournament do, so that rows whose weights lie near each other find as many turns as others.
class Meetings {
 public:
  explicit Meetings(Size columns)
      : columns_(columns), blocks_(ceil_divided(columns, kBlock)), even_(blocks_ + blocks_ % 2) {}

  std::array<Size, 2> at(Size turn) const { return pair_at(turn / pairs() % (even_ - 1), turn % pairs()); }
  /// The first column of a block. Inputs that are fewer than two blocks are seen with zeros behind them.
  Size start(Size block) const {
    return columns_ < 2 * kBlock ? block * kBlock : std::min(block * kBlock, columns_ - kBlock);
  }

  /// The weights of each row, by turns. A turn takes one of the block that has more left.
  std::vector<std::vector<Slot>> slots_of_rows(const Constant& weight) const {
    std::vector<std::vector<Slot>> slots;
    std::vector<Left> left(static_cast<std::size_t>(blocks_));
    for (Size row = 0; row < weight.rows; ++row) slots.push_back(slots_of(weight, row, left));
    return slots;
  }

 private:
  /// Weights of a block that a row has left.
  struct Left {
    std::uint32_t next = 0, end = 0;
    std::uint32_t count() const { return end - next; }
  };

  Size pairs() const { return even_ / 2; }  // of a round
  /// Who sits where: all but the first move on by a seat in each round, and pairs sit at seats as far from both ends.
  /// As many rounds as `moved` have gone, less whole turns of the table.
  Size block(Size moved, Size seat) const {
    return seat == 0 ? 0 : seat > moved ? seat - moved : seat - moved + even_ - 1;
  }
  Size seat(Size moved, Size block) const {
    return block == 0 ? 0 : block + moved < even_ ? block + moved : block + moved - (even_ - 1);
  }
  std::array<Size, 2> pair_at(Size moved, Size seat) const {
    const Size a = block(moved, seat), b = block(moved, even_ - 1 - seat);
    return {a < blocks_ ? a : b, b < blocks_ ? b : a};  // with an odd number, one of them meets itself
  }

  /// left: of all blocks, none before and after. Looks at the turns of blocks that have some left, and at no others.
  std::vector<Slot> slots_of(const Constant& weight, Size row, std::vector<Left>& left) const {
    const std::uint32_t begin = weight.start[static_cast<std::size_t>(row)];
    const std::uint32_t end = weight.start[static_cast<std::size_t>(row) + 1];
    std::vector<Size> waiting;  // blocks
    for (std::uint32_t i = begin; i < end; ++i) {
      Left& one = left[weight.column[i] / kBlock];
      if (one.count() == 0) {
        waiting.push_back(weight.column[i] / kBlock);
        one.next = i;
      }
      one.end = i + 1;
    }
    std::vector<Slot> slots;
    slots.reserve(end - begin);
    std::vector<Size> seats;
    for (Size round = 0, moved = 0; !waiting.empty(); ++round, moved = moved + 2 < even_ ? moved + 1 : 0) {
      seats.clear();
      for (const Size one : waiting) {
        const Size own = seat(moved, one);
        seats.push_back(std::min(own, even_ - 1 - own));
      }
      std::sort(seats.begin(), seats.end());
      seats.erase(std::unique(seats.begin(), seats.end()), seats.end());
      for (const Size one : seats) {
        const std::array<Size, 2> seen = pair_at(moved, one);
        const auto count = [&](Size half) { return left[static_cast<std::size_t>(seen[half])].count(); };
        const Size half = count(1) > count(0) ? 1 : 0;
        const std::uint32_t taken = left[static_cast<std::size_t>(seen[half])].next++;
        const Size place = half * kBlock + weight.column[taken] - start(seen[half]);
        const Size turn = round * pairs() + one;
        slots.push_back({static_cast<std::uint32_t>(turn), taken, static_cast<std::uint32_t>(place)});
      }
      waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                   [&](Size one) { return left[static_cast<std::size_t>(one)].count() == 0; }),
                    waiting.end());
    }
    return slots;
  }

  Size columns_, blocks_, even_;
};

/// In which order the rows of a matrix lie in bundles, and about what a product takes then.
struct Order {
  std::vector<Size> rows;
  bool sorted = false;
  double cycles = std::numeric_limits<double>::infinity();
};

/// Where the weights of a matrix go.
class Arrangement {
 public:
  Arrangement(const Picking& picking, const Constant& weight)
      : picking_(picking), weight_(weight), meetings_(weight.columns) {
    if (picking.shares) slots_ = meetings_.slots_of_rows(weight);
  }

  /// Rows as they are, or those with about as many weights beside each other: what takes less. Neither is looked at
  /// further once it takes more than `most` cycles.
  Order fastest(double most) const {
    Order in_order, sorted;
    in_order.rows.resize(static_cast<std::size_t>(weight_.rows));
    std::iota(in_order.rows.begin(), in_order.rows.end(), 0);
    sorted.rows = in_order.rows;
    std::stable_sort(sorted.rows.begin(), sorted.rows.end(), [&](Size a, Size b) { return kept(a) > kept(b); });
    sorted.sorted = true;
    in_order.cycles = cycles(in_order, most);
    sorted.cycles = cycles(sorted, std::min(most, in_order.cycles));
    return sorted.cycles < in_order.cycles ? sorted : in_order;
  }

  /// of_bundle(the rows of one) for each of an order, until it says no.
  template <class OfBundle>
  void each_bundle(const Order& order, OfBundle&& of_bundle) const {
    const std::size_t together = static_cast<std::size_t>(picking_.rows());
    for (std::size_t first = 0; first < order.rows.size(); first += together) {
      const auto begin = order.rows.begin() + static_cast<std::ptrdiff_t>(first);
      const auto count = static_cast<std::ptrdiff_t>(std::min(together, order.rows.size() - first));
      if (!of_bundle(std::vector<Size>(begin, begin + count))) return;
    }
  }

  struct Turns {
    std::uint32_t count = 0;
    Size rests = 0;  // weights that have no turn
  };
  Turns turns_of(const std::vector<Size>& rows) const { return picking_.shares ? meeting(rows) : sliding(rows); }

  /// put(place of a row in the bundle, slot) of all weights, those without a turn behind the others of their row; and
  /// the first columns of what each turn sees.
  template <class Put>
  void fill(const std::vector<Size>& rows, std::uint32_t turns, std::vector<std::uint32_t>& starts, Put&& put) const {
    if (!picking_.shares) {
      std::vector<std::uint32_t> own(static_cast<std::size_t>(turns) * kPickedTogether, 0);
      each_group(rows, [&](std::size_t begin, std::size_t end) {
        const std::size_t group = begin / static_cast<std::size_t>(picking_.lanes);
        slide(
            rows, begin, end,
            [&](std::uint32_t turn, Size start) {
              own[turn * kPickedTogether + group] = static_cast<std::uint32_t>(start);
            },
            put);
      });
      starts.insert(starts.end(), own.begin(), own.end());
      return;
    }
    for (std::uint32_t turn = 0; turn < turns; ++turn)
      for (const Size block : meetings_.at(turn)) starts.push_back(static_cast<std::uint32_t>(meetings_.start(block)));
    for (std::size_t row = 0; row < rows.size(); ++row)
      for (const Slot& slot : slots_[static_cast<std::size_t>(rows[row])]) put(row, slot);
  }

 private:
  std::uint32_t kept(Size row) const {
    return weight_.start[static_cast<std::size_t>(row) + 1] - weight_.start[static_cast<std::size_t>(row)];
  }

  /// Infinite from `most` on.
  double cycles(const Order& order, double most) const {
    double cycles = order.sorted ? static_cast<double>(order.rows.size()) * kCyclesPerPlacedRow : 0;
    each_bundle(order, [&](const std::vector<Size>& rows) {
      const Turns turns = turns_of(rows);
      cycles += picking_.bundle_cycles + turns.count * picking_.turn_cycles +
                static_cast<double>(turns.rests) * picking_.rest_cycles;
      return cycles < most;
    });
    return cycles < most ? cycles : std::numeric_limits<double>::infinity();
  }

  /// Where all rows see two blocks in a turn: as many turns as pay. Rows that have weights for more have rests.
  Turns meeting(const std::vector<Size>& rows) const {
    std::vector<Size> taken;  // weights, by turns
    for (const Size row : rows)
      for (const Slot& slot : slots_[static_cast<std::size_t>(row)]) {
        if (slot.turn >= taken.size()) taken.resize(slot.turn + 1, 0);
        ++taken[slot.turn];
      }
    Turns best{static_cast<std::uint32_t>(taken.size()), 0};
    double least = static_cast<double>(taken.size()) * picking_.turn_cycles;
    Size rests = 0;
    for (std::size_t turns = taken.size(); turns-- > 0;) {
      rests += taken[turns];
      const double cycles =
          static_cast<double>(turns) * picking_.turn_cycles + static_cast<double>(rests) * picking_.rest_cycles;
      if (cycles >= least) continue;
      least = cycles;
      best = {static_cast<std::uint32_t>(turns), rests};
    }
    return best;
  }

  /// Where each group sees a window of neighbours in a turn: until the last one has nothing left.
  Turns sliding(const std::vector<Size>& rows) const {
    Turns turns;
    each_group(rows, [&](std::size_t begin, std::size_t end) {
      const auto nothing = [](auto&&...) {};
      turns.count = std::max(turns.count, slide(rows, begin, end, nothing, nothing));
    });
    return turns;
  }

  template <class OfGroup>
  void each_group(const std::vector<Size>& rows, OfGroup&& of_group) const {
    const std::size_t lanes = static_cast<std::size_t>(picking_.lanes);
    for (std::size_t begin = 0; begin < rows.size(); begin += lanes)
      of_group(begin, std::min(begin + lanes, rows.size()));
  }

  /// Turns of a group of rows. A window begins with the first column that is left in any of its rows, and each row that
  /// has its next weight in it gives that one: rows that lag behind catch up, and those ahead wait.
  template <class Start, class Put>
  std::uint32_t slide(const std::vector<Size>& rows, std::size_t begin, std::size_t end, Start&& start_at,
                      Put&& put) const {
    constexpr std::size_t kMostLanes = 16;
    std::array<std::uint32_t, kMostLanes> next{}, last{};
    for (std::size_t row = begin; row < end; ++row) {
      next[row - begin] = weight_.start[static_cast<std::size_t>(rows[row])];
      last[row - begin] = weight_.start[static_cast<std::size_t>(rows[row]) + 1];
    }
    for (std::uint32_t turn = 0;; ++turn) {
      Size first = weight_.columns;
      for (std::size_t row = 0; row < end - begin; ++row)
        if (next[row] < last[row]) first = std::min<Size>(first, weight_.column[next[row]]);
      if (first == weight_.columns) return turn;
      const Size start = std::min(first, std::max<Size>(0, weight_.columns - picking_.columns));
      start_at(turn, start);
      for (std::size_t row = 0; row < end - begin; ++row) {
        if (next[row] == last[row] || weight_.column[next[row]] >= start + picking_.columns) continue;
        put(begin + row, Slot{turn, next[row], static_cast<std::uint32_t>(weight_.column[next[row]] - start)});
        ++next[row];
      }
    }
  }

  const Picking& picking_;
  const Constant& weight_;
  Meetings meetings_;
  std::vector<std::vector<Slot>> slots_;  // of each row, where turns see two blocks
};

/// Cycles of a product weight by weight, roughly; 0 for matrices whose inputs aren't picked.
double one_by_one_cycles(const Picking& picking, const Constant& weight) {
  if (!picking.lanes || weight.form != Constant::Form::kSparse || prefers_dense_rows(weight)) return 0;
  if (weight.kept == 0 || weight.kept > kMostKept || weight.columns > kMostColumns) return 0;
  return static_cast<double>(weight.kept) * picking.weight_cycles +
         static_cast<double>(weight.rows + 1) * picking.row_cycles;
}

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

double PickedMatrix::share(const Kernels& kernels, const Constant& weight) {
  const double one_by_one = one_by_one_cycles(kernels.picking, weight);
  if (one_by_one == 0) return std::numeric_limits<double>::infinity();
  return Arrangement(kernels.picking, weight).fastest(one_by_one / kGain).cycles / one_by_one;
}

bool PickedMatrix::pays(const Kernels& kernels, const Constant& weight) { return share(kernels, weight) < 1; }

std::vector<PickedMatrix> PickedMatrix::if_it_pays(const Kernels& kernels, const Constant& weight) {
  std::vector<PickedMatrix> made;
  const double one_by_one = one_by_one_cycles(kernels.picking, weight);
  if (one_by_one > 0) {
    PickedMatrix matrix(kernels, weight, one_by_one / kGain);
    if (!matrix.turns_.empty()) made.push_back(std::move(matrix));
  }
  return made;
}

PickedMatrix::PickedMatrix(const Kernels& kernels, const Constant& weight)
    : PickedMatrix(kernels, weight, std::numeric_limits<double>::infinity()) {}

PickedMatrix::PickedMatrix(const Kernels& kernels, const Constant& weight, double most)
    : kernels_(kernels), rows_(weight.rows), inputs_(weight.columns) {
  const Picking& picking = kernels.picking;
  const Arrangement arrangement(picking, weight);
  const Order order = arrangement.fastest(most);
  if (!(order.cycles < most)) return;
  if (order.sorted) row_places_.resize(static_cast<std::size_t>(rows_));
  for (std::size_t place = 0; place < row_places_.size(); ++place)
    row_places_[static_cast<std::size_t>(order.rows[place])] = static_cast<std::uint32_t>(place);
  const auto lanes = static_cast<std::size_t>(picking.lanes), together = static_cast<std::size_t>(picking.rows());
  std::size_t first = 0;  // row of a bundle
  arrangement.each_bundle(order, [&](const std::vector<Size>& rows) {
    const std::size_t values = values_.size(), places = places_.size();
    const std::uint32_t turns = arrangement.turns_of(rows).count;
    turns_.push_back(turns);
    values_.resize(values + turns * together, 0.0f);
    places_.resize(places + turns * lanes, 0);
    arrangement.fill(rows, turns, starts_, [&](std::size_t row, const Slot& slot) {
      if (slot.turn < turns) {
        values_[values + slot.turn * together + row] = weight.values[slot.weight];
        places_[places + slot.turn * lanes + row % lanes] |= slot.place << (8 * (row / lanes));
      } else {
        rests_.push_back(
            {static_cast<std::uint32_t>(first + row), weight.column[slot.weight], weight.values[slot.weight]});
      }
    });
    first += rows.size();
    return true;
  });
  starts_.shrink_to_fit();  // they stay for as long as the plan
  values_.shrink_to_fit();
  places_.shrink_to_fit();
  rests_.shrink_to_fit();
}

bool PickedMatrix::add_products(const float* x, Size vectors, float* output, float* scratch) const {
  if (!all_finite(x, vectors * inputs_)) return false;
  PickedRows work{};
  work.input = x;
  work.inputs = inputs_;
  work.vectors = static_cast<int>(vectors);
  work.next_input = inputs_;
  work.next_sums = sums(rows_);
  work.sums = scratch;
  work.groups = ceil_divided(rows_, kernels_.picking.lanes);
  work.turns = turns_.data();
  work.starts = starts_.data();
  work.values = values_.data();
  work.places = places_.data();
  work.rests = rests_.data();
  work.rests_count = static_cast<std::ptrdiff_t>(rests_.size());
  work.output = output;
  work.next_output = rows_;
  work.rows = rows_;
  work.row_places = row_places_.empty() ? nullptr : row_places_.data();
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

void RowMatrix::add_product(const float* x, float* sums, float* scratch, bool backwards) const {
  if (!picked_.empty() && picked_.front().add_products(x, 1, sums, scratch)) return;
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
