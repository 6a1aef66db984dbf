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

  std::array<Size, 2> at(Size turn) const {
    const Size of_round = even_ / 2, round = turn / of_round % (even_ - 1), pair = turn % of_round;
    const auto block = [&](Size seat) { return seat == 0 ? 0 : (seat + even_ - 2 - round) % (even_ - 1) + 1; };
    const Size a = block(pair), b = block(even_ - 1 - pair);
    return {a < blocks_ ? a : b, b < blocks_ ? b : a};  // with an odd number, one of them meets itself
  }
  /// The first column of a block. Inputs that are fewer than two blocks are seen with zeros behind them.
  Size start(Size block) const {
    return columns_ < 2 * kBlock ? block * kBlock : std::min(block * kBlock, columns_ - kBlock);
  }

  /// The weights of a row, by turns. A turn takes one of the block that has more left.
  std::vector<Slot> slots_of(const Constant& weight, Size row) const {
    struct Left {
      std::uint32_t next, end;
    };
    std::vector<Left> left(static_cast<std::size_t>(blocks_), Left{0, 0});
    const std::uint32_t begin = weight.start[static_cast<std::size_t>(row)];
    const std::uint32_t end = weight.start[static_cast<std::size_t>(row) + 1];
    for (std::uint32_t i = begin; i < end; ++i) {
      Left& block = left[weight.column[i] / kBlock];
      if (block.end == 0) block.next = i;
      block.end = i + 1;
    }
    std::vector<Slot> slots;
    for (std::uint32_t turn = 0; slots.size() < end - begin; ++turn) {
      const std::array<Size, 2> seen = at(turn);
      const auto waiting = [&](Size block) {
        const Left& one = left[static_cast<std::size_t>(block)];
        return one.end - one.next;
      };
      const std::uint32_t half = waiting(seen[1]) > waiting(seen[0]) ? 1 : 0;
      if (waiting(seen[half]) == 0) continue;
      const std::uint32_t taken = left[static_cast<std::size_t>(seen[half])].next++;
      const Size place = half * kBlock + weight.column[taken] - start(seen[half]);
      slots.push_back({turn, taken, static_cast<std::uint32_t>(place)});
    }
    return slots;
  }

 private:
  Size columns_, blocks_, even_;
};

/// Where all weights of a matrix go.
class Arrangement {
 public:
  struct Bundle {
    std::uint32_t turns = 0;
    std::vector<std::uint32_t> starts;     // of each turn
    std::vector<std::vector<Slot>> slots;  // of each row, by turns
    std::vector<std::vector<Slot>> rests;  // of each row, in the order in which they are added
  };

  /// sorted: rows with about as many weights lie in one bundle; else they lie in order.
  Arrangement(const Picking& picking, const Constant& weight, bool sorted)
      : picking_(picking), weight_(weight), sorted_(sorted), order_(static_cast<std::size_t>(weight.rows)) {
    std::iota(order_.begin(), order_.end(), 0);
    const auto kept = [&](Size row) {
      return weight.start[static_cast<std::size_t>(row) + 1] - weight.start[static_cast<std::size_t>(row)];
    };
    if (sorted) std::stable_sort(order_.begin(), order_.end(), [&](Size a, Size b) { return kept(a) > kept(b); });
    const Meetings meetings(weight.columns);
    const std::size_t together = static_cast<std::size_t>(picking.rows());
    for (std::size_t first = 0; first < order_.size(); first += together) {
      const std::size_t end = std::min(first + together, order_.size());
      const std::vector<Size> rows(order_.begin() + static_cast<std::ptrdiff_t>(first),
                                   order_.begin() + static_cast<std::ptrdiff_t>(end));
      bundles_.push_back(picking.shares ? meeting(meetings, rows) : sliding(rows));
    }
  }

  static Arrangement fastest(const Picking& picking, const Constant& weight) {
    Arrangement sorted(picking, weight, true), in_order(picking, weight, false);
    return sorted.cycles() < in_order.cycles() ? std::move(sorted) : std::move(in_order);
  }

  bool is_sorted() const { return sorted_; }
  const std::vector<Size>& order() const { return order_; }  // rows, as they lie in bundles
  const std::vector<Bundle>& bundles() const { return bundles_; }

  double cycles() const {
    double cycles = sorted_ ? static_cast<double>(order_.size()) * kCyclesPerPlacedRow : 0;
    for (const Bundle& bundle : bundles_) {
      cycles += picking_.bundle_cycles + bundle.turns * picking_.turn_cycles;
      for (const std::vector<Slot>& rests : bundle.rests)
        cycles += static_cast<double>(rests.size()) * picking_.rest_cycles;
    }
    return cycles;
  }

 private:
  /// All rows see two blocks in a turn. As many turns as pay: rows that have weights for more have rests.
  Bundle meeting(const Meetings& meetings, const std::vector<Size>& rows) const {
    Bundle bundle;
    std::vector<double> waiting;  // weights, by turns
    for (const Size row : rows) {
      std::vector<Slot>& slots = bundle.slots.emplace_back(meetings.slots_of(weight_, row));
      for (const Slot& slot : slots) {
        if (slot.turn >= waiting.size()) waiting.resize(slot.turn + 1, 0);
        ++waiting[slot.turn];
      }
    }
    double behind = 0, best = std::numeric_limits<double>::infinity();
    for (std::size_t turns = waiting.size() + 1; turns-- > 0;) {
      if (turns < waiting.size()) behind += waiting[turns];
      const double cycles = static_cast<double>(turns) * picking_.turn_cycles + behind * picking_.rest_cycles;
      if (cycles < best) {
        best = cycles;
        bundle.turns = static_cast<std::uint32_t>(turns);
      }
    }
    for (std::vector<Slot>& slots : bundle.slots) {
      const auto first =
          std::find_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.turn >= bundle.turns; });
      bundle.rests.emplace_back(first, slots.end());
      slots.erase(first, slots.end());
    }
    for (std::uint32_t turn = 0; turn < bundle.turns; ++turn)
      for (const Size block : meetings.at(turn))
        bundle.starts.push_back(static_cast<std::uint32_t>(meetings.start(block)));
    return bundle;
  }

  /// Each group sees a window of neighbours in a turn. It begins with the first column that is left in any of its rows,
  /// and each row that has its next weight in it gives that one: rows that lag behind catch up, and those ahead wait.
  Bundle sliding(const std::vector<Size>& rows) const {
    Bundle bundle;
    bundle.slots.resize(rows.size());
    bundle.rests.resize(rows.size());
    const std::size_t lanes = static_cast<std::size_t>(picking_.lanes);
    std::vector<std::vector<std::uint32_t>> starts;  // of each group
    for (std::size_t begin = 0; begin < rows.size(); begin += lanes) {
      starts.emplace_back();
      const std::size_t end = std::min(begin + lanes, rows.size());
      while (slide(rows, begin, end, starts.back(), bundle)) {
      }
      bundle.turns = std::max(bundle.turns, static_cast<std::uint32_t>(starts.back().size()));
    }
    for (std::size_t turn = 0; turn < bundle.turns; ++turn)
      for (std::size_t group = 0; group < kPickedTogether; ++group)
        bundle.starts.push_back(group < starts.size() && turn < starts[group].size() ? starts[group][turn] : 0);
    return bundle;
  }

  /// A turn of one group; false behind the last one.
  bool slide(const std::vector<Size>& rows, std::size_t begin, std::size_t end, std::vector<std::uint32_t>& starts,
             Bundle& bundle) const {
    const auto next = [&](std::size_t row) {
      return weight_.start[static_cast<std::size_t>(rows[row])] + static_cast<std::uint32_t>(bundle.slots[row].size());
    };
    const auto has_more = [&](std::size_t row) {
      return next(row) < weight_.start[static_cast<std::size_t>(rows[row]) + 1];
    };
    Size first = weight_.columns;
    for (std::size_t row = begin; row < end; ++row)
      if (has_more(row)) first = std::min<Size>(first, weight_.column[next(row)]);
    if (first == weight_.columns) return false;
    const Size start = std::min(first, std::max<Size>(0, weight_.columns - picking_.columns));
    for (std::size_t row = begin; row < end; ++row)
      if (has_more(row) && weight_.column[next(row)] < start + picking_.columns)
        bundle.slots[row].push_back({static_cast<std::uint32_t>(starts.size()), next(row),
                                     static_cast<std::uint32_t>(weight_.column[next(row)] - start)});
    starts.push_back(static_cast<std::uint32_t>(start));
    return true;
  }

  const Picking& picking_;
  const Constant& weight_;
  bool sorted_;
  std::vector<Size> order_;
  std::vector<Bundle> bundles_;
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
  if (weight.kept == 0 || weight.kept > kMostKept || weight.columns > kMostColumns) return kNone;
  const double one_by_one = static_cast<double>(weight.kept) * picking.weight_cycles +
                            static_cast<double>(weight.rows + 1) * picking.row_cycles;
  const double picked = Arrangement::fastest(picking, weight).cycles();
  return picked * kGain < one_by_one ? picked / one_by_one : kNone;
}

bool PickedMatrix::pays(const Kernels& kernels, const Constant& weight) { return share(kernels, weight) < 1; }

PickedMatrix::PickedMatrix(const Kernels& kernels, const Constant& weight)
    : kernels_(kernels), rows_(weight.rows), inputs_(weight.columns) {
  const Picking& picking = kernels.picking;
  const Arrangement arrangement = Arrangement::fastest(picking, weight);
  const auto lanes = static_cast<std::size_t>(picking.lanes), together = static_cast<std::size_t>(picking.rows());
  if (arrangement.is_sorted()) row_places_.resize(static_cast<std::size_t>(rows_));
  for (std::size_t place = 0; place < row_places_.size(); ++place)
    row_places_[static_cast<std::size_t>(arrangement.order()[place])] = static_cast<std::uint32_t>(place);
  std::size_t first = 0;  // row of a bundle
  for (const Arrangement::Bundle& bundle : arrangement.bundles()) {
    const std::size_t values = values_.size(), places = places_.size();
    turns_.push_back(bundle.turns);
    starts_.insert(starts_.end(), bundle.starts.begin(), bundle.starts.end());
    values_.resize(values + bundle.turns * together, 0.0f);
    places_.resize(places + bundle.turns * lanes, 0);
    for (std::size_t row = 0; row < bundle.slots.size(); ++row) {
      for (const Slot& slot : bundle.slots[row]) {
        values_[values + slot.turn * together + row] = weight.values[slot.weight];
        places_[places + slot.turn * lanes + row % lanes] |= slot.place << (8 * (row / lanes));
      }
      for (const Slot& rest : bundle.rests[row])
        rests_.push_back(
            {static_cast<std::uint32_t>(first + row), weight.column[rest.weight], weight.values[rest.weight]});
    }
    first += bundle.slots.size();
  }
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
