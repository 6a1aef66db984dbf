#include "lanes/picked_rows.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "lanes/rows.hpp"

namespace netsurgery {
namespace {

constexpr Size kRowsEach = 16;
constexpr Size kMostKept = 1 << 18;  // weights: of more, memory decides
constexpr Size kMostGroups = 1 << 16;
constexpr double kGain = 1.2;  // by which it has to be faster: estimates are no better than that

/// How many weights each row of each group has in each block of columns.
struct Blocks {
  Size columns, blocks, groups;
  std::vector<std::uint16_t> counts;  // [block][group][row]

  Blocks(const Constant& weight, Size each)
      : columns(each),
        blocks((weight.columns + each - 1) / each),
        groups((weight.rows + kRowsEach - 1) / kRowsEach),
        counts(static_cast<std::size_t>(blocks * groups * kRowsEach)) {
    for (Size row = 0; row < weight.rows; ++row)
      for (std::uint32_t i = weight.start[static_cast<std::size_t>(row)];
           i < weight.start[static_cast<std::size_t>(row) + 1]; ++i)
        if (weight.values[i] != 0.0f) ++counts[index(weight.column[i] / each, row)];
  }
  std::size_t index(Size block, Size row) const { return static_cast<std::size_t>(block * groups * kRowsEach + row); }
  Size slots(Size block, Size group) const {
    const auto* first = counts.data() + index(block, group * kRowsEach);
    return *std::max_element(first, first + kRowsEach);
  }
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

/// Cycles of the picked product over those of weight by weight, roughly; infinite where there is none.
double PickedMatrix::share(const Kernels& kernels, const Constant& weight) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  if (!kernels.picked_columns || weight.form != Constant::Form::kSparse || prefers_dense_rows(weight)) return kNone;
  if (weight.kept > kMostKept || weight.rows > kMostGroups * kRowsEach) return kNone;
  const Blocks blocks(weight, kernels.picked_columns);
  Size slots = 0, visits = 0;
  for (Size block = 0; block < blocks.blocks; ++block)
    for (Size group = 0; group < blocks.groups; ++group) {
      const Size count = blocks.slots(block, group);
      slots += count;
      visits += (count + kMostSlots - 1) / kMostSlots;
    }
  const PickedCycles& each = kernels.picked_cycles;
  const double picked = static_cast<double>(slots) * each.slot + static_cast<double>(visits) * each.visit +
                        static_cast<double>(blocks.blocks) * each.block;
  return picked /
         (static_cast<double>(weight.kept) * each.weight + static_cast<double>(weight.rows) * each.row + each.row);
}

bool PickedMatrix::pays(const Kernels& kernels, const Constant& weight) { return share(kernels, weight) * kGain < 1; }

PickedMatrix::PickedMatrix(const Kernels& kernels, const Constant& weight)
    : kernels_(kernels), inputs_(weight.columns), sums_(sums(weight.rows)) {
  const Blocks blocks(weight, kernels.picked_columns);
  std::vector<std::uint32_t> next(weight.start.begin(), weight.start.end() - 1);  // weight of each row to come
  const auto take = [&](Size row, Size block, float& value, std::uint8_t& column) {
    if (row >= weight.rows) return;
    std::uint32_t& i = next[static_cast<std::size_t>(row)];
    const std::uint32_t stop = weight.start[static_cast<std::size_t>(row) + 1];
    while (i < stop && weight.values[i] == 0.0f) ++i;
    if (i == stop || weight.column[i] / blocks.columns != block) return;
    value = weight.values[i];
    column = static_cast<std::uint8_t>(weight.column[i++] % blocks.columns);
  };
  for (Size block = 0; block < blocks.blocks; ++block) {
    // A group with more slots than the kernel takes at once comes several times, first with as many as it takes.
    std::vector<Size> left(static_cast<std::size_t>(blocks.groups));
    for (Size group = 0; group < blocks.groups; ++group)
      left[static_cast<std::size_t>(group)] = blocks.slots(block, group);
    std::vector<std::uint32_t> counts(kMostSlots, 0);
    for (Size each = kMostSlots; each > 0; --each) {
      bool again = true;
      while (again) {
        again = false;
        for (Size group = 0; group < blocks.groups; ++group) {
          Size& slots = left[static_cast<std::size_t>(group)];
          if (slots < each) continue;
          slots -= each;
          again = again || slots >= each;
          ++counts[static_cast<std::size_t>(each - 1)];
          groups_.push_back(static_cast<std::uint16_t>(group));
          for (Size slot = 0; slot < each; ++slot)
            for (Size row = 0; row < kRowsEach; ++row) {
              float value = 0.0f;
              std::uint8_t column = 0;
              take(group * kRowsEach + row, block, value, column);
              values_.push_back(value);
              columns_.push_back(column);
            }
        }
      }
    }
    counts_.insert(counts_.end(), counts.begin(), counts.end());
  }
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
  work.counts = counts_.data();
  work.groups = groups_.data();
  work.values = values_.data();
  work.columns = columns_.data();
  kernels_.picked_rows(work);
  return true;
}

RowMatrix::RowMatrix(const Kernels& kernels, const Constant& weight, const Constant& whole)
    : kernels_(kernels), rows_(weight.rows), inputs_(weight.columns), dense_(prefers_dense_rows(whole)) {
  if (dense_) {
    const DenseEntries all(weight);
    values_.assign(all.all().begin(), all.all().end());
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

void RowMatrix::add_product(const float* x, float* sums) const {
  if (!picked_.empty() && picked_.front().add_products(x, 1, sums)) return;
  if (dense_) {
    DenseRows work{};
    work.input = x;
    work.weights = values_.data();
    work.inputs = inputs_;
    work.bias = work.output = sums;
    work.rows = rows_;
    kernels_.dense_rows(work);
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
  return rows_cycles(weight, 1) * (PickedMatrix::pays(kernels, weight) ? PickedMatrix::share(kernels, weight) : 1.0);
}

}  // namespace netsurgery
