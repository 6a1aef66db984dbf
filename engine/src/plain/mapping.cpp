// Pad, Resize and Tile: along each axis of the output a table says which entry of x stands there, if any.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/positions.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

constexpr std::int32_t kFilled = -1;  // no entry of x but a constant

using Table =
    std::vector<std::int32_t>;  // for each place along an axis of the output, the place along that of x, or kFilled

bool is_identity(const Table& table, Size size) {
  if (static_cast<Size>(table.size()) != size) return false;
  for (Size i = 0; i < size; ++i)
    if (table[static_cast<std::size_t>(i)] != i) return false;
  return true;
}

template <class Entry>
class Mapped final : public PlainKernel {
 public:
  Mapped(Shape x, std::vector<Table> tables, Entry fill) : fill_(fill), parts_(1, 1) {
    // Axes at the end that stay as they are make up units that are moved as a whole; elsewhere such axes are joined.
    while (!x.empty() && is_identity(tables.back(), x.back())) {
      unit_ *= x.back();
      x.pop_back();
      tables.pop_back();
    }
    if (x.empty()) {
      x.push_back(1);
      tables.push_back({0});
    }
    along_ = std::move(tables.back());
    in_ = x.back();
    x.pop_back();
    tables.pop_back();
    for (std::size_t axis = 0; axis < x.size(); ++axis) {
      const bool same = is_identity(tables[axis], x[axis]);
      if (same && !axes_.empty() && axes_.back().table.empty()) {
        axes_.back().in *= x[axis];
        axes_.back().out *= x[axis];
      } else {
        axes_.push_back({x[axis], static_cast<Size>(tables[axis].size()), same ? Table() : std::move(tables[axis])});
      }
    }
    rows_ = 1;
    for (const Axis& axis : axes_) rows_ *= axis.out;
    find_run();
    parts_ = Parts(rows_, length(), std::max<Size>(kPieceEntries / unit_, 1));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return 2 * rows_ * length() * unit_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      Entry* y = seen_as<Entry>(output) + row * length() * unit_;
      const Size source = source_row(row);
      if (source == kFilled) {
        std::fill(y + from * unit_, y + to * unit_, fill_);
        return;
      }
      const Entry* x = seen_as<Entry>(inputs[0]) + source * in_ * unit_;
      const Size run_from = std::clamp(run_begin_, from, to), run_to = std::clamp(run_end_, from, to);
      one_by_one(x, from, run_from, y);
      if (run_from < run_to)
        std::memcpy(y + run_from * unit_, x + along_[static_cast<std::size_t>(run_from)] * unit_,
                    static_cast<std::size_t>((run_to - run_from) * unit_) * sizeof(Entry));
      one_by_one(x, run_to, to, y);
    });
  }

 private:
  struct Axis {
    Size in, out;
    Table table;  // empty: every entry stays where it is
  };

  Size length() const { return static_cast<Size>(along_.size()); }

  /// Number of the row of x that a row of the output takes its entries from, or kFilled.
  Size source_row(Size row) const {
    Size source = 0, pitch = 1;
    for (std::size_t axis = axes_.size(); axis-- > 0;) {
      const Axis& here = axes_[axis];
      Size place = row % here.out;
      row /= here.out;
      if (!here.table.empty()) place = here.table[static_cast<std::size_t>(place)];
      if (place == kFilled) return kFilled;
      source += place * pitch;
      pitch *= here.in;
    }
    return source;
  }

  void one_by_one(const Entry* __restrict x, Size from, Size to, Entry* __restrict y) const {
    const std::int32_t* __restrict table = along_.data();
    for (Size i = from; i < to; ++i) {
      if (unit_ == 1)
        y[i] = table[i] == kFilled ? fill_ : x[table[i]];
      else if (table[i] == kFilled)
        std::fill_n(y + i * unit_, unit_, fill_);
      else
        std::copy_n(x + Size{table[i]} * unit_, unit_, y + i * unit_);
    }
  }

  /// The longest stretch of the last table that is neighbours of x: it is copied at once.
  void find_run() {
    for (std::size_t begin = 0, end; begin < along_.size(); begin = end) {
      end = begin + 1;
      if (along_[begin] == kFilled) continue;
      while (end < along_.size() && along_[end] == along_[end - 1] + 1) ++end;
      if (static_cast<Size>(end - begin) <= run_end_ - run_begin_) continue;
      run_begin_ = static_cast<Size>(begin);
      run_end_ = static_cast<Size>(end);
    }
  }

  Entry fill_;
  Size unit_ = 1, in_, rows_;
  std::vector<Axis> axes_;
  Table along_;
  Size run_begin_ = 0, run_end_ = 0;
  Parts parts_;
};

/// Which of `left` entries stands at a place before the first or behind the last of them.
Size beyond(Size place, Size left, PadMode mode) {
  if (place >= 0 && place < left) return place;
  switch (mode) {
    case PadMode::kReflect:
      return place < 0 ? -place : 2 * (left - 1) - place;
    case PadMode::kEdge:
      return place < 0 ? 0 : left - 1;
    case PadMode::kWrap:
      return place < 0 ? place + left : place - left;
    default:
      return kFilled;
  }
}

/// What is negative is cut first; what is left is padded.
Table pad_table(Size size, Size before, Size after, PadMode mode) {
  const Size cut = std::max<Size>(-before, 0), left = size - cut - std::max<Size>(-after, 0);
  Table table;
  for (Size place = -std::max<Size>(before, 0); place < left + std::max<Size>(after, 0); ++place) {
    const Size source = beyond(place, left, mode);
    table.push_back(static_cast<std::int32_t>(source == kFilled ? source : source + cut));
  }
  return table;
}

}  // namespace

Kernel make_pad(const Making& making) {
  const Shape& x = making.operands[0];
  const Attributes& attributes = making.attributes();
  const std::vector<Size> pads = attributes.filled(AttributeName::kPads, 2 * x.size(), 0);
  std::vector<Table> tables;
  for (std::size_t axis = 0; axis < x.size(); ++axis)
    tables.push_back(
        pad_table(x[axis], pads[axis], pads[x.size() + axis], attributes.choice<PadMode>(AttributeName::kMode)));
  const float value = attributes.number(AttributeName::kValue);
  return with_type(making.node.type, [&](auto entry) -> Kernel {
    using Entry = decltype(entry);
    return std::make_unique<Mapped<Entry>>(x, tables, cast<Entry>(value));
  });
}

Kernel make_resize(const Making& making) {
  const Shape& x = making.operands[0];
  const Attributes& attributes = making.attributes();
  std::vector<Table> tables(x.size());
  for (std::size_t axis = 0; axis < x.size(); ++axis)
    for (Size i = 0; i < making.output[axis]; ++i) {
      const Size place = axis < 2 ? i : nearest_place(attributes, axis - 2, i, x[axis], making.output[axis]);
      tables[axis].push_back(static_cast<std::int32_t>(place));
    }
  return std::make_unique<Mapped<float>>(x, std::move(tables), 0.0f);
}

Kernel make_tile(const Making& making) {
  const Shape& x = making.operands[0];
  std::vector<Table> tables(x.size());
  for (std::size_t axis = 0; axis < x.size(); ++axis)
    for (Size i = 0; i < making.output[axis]; ++i) tables[axis].push_back(static_cast<std::int32_t>(i % x[axis]));
  return with_type(making.node.type, [&](auto entry) -> Kernel {
    using Entry = decltype(entry);
    return std::make_unique<Mapped<Entry>>(x, tables, Entry{});
  });
}

}  // namespace netsurgery::plain
