#include "lanes/rows.hpp"

#include <algorithm>
#include <limits>

#include "lanes/aligned.hpp"
#include "lanes/picked_rows.hpp"

namespace netsurgery {
namespace {

constexpr std::size_t kCodedFrom = 1 << 16;  // weights; fewer of them stay in the caches as they are
constexpr std::size_t kCodes = 256;
constexpr double kCyclesPerWeight = 1.3, kCyclesPerDenseWeight = 0.5, kCyclesPerRow = 8;
constexpr Size kWorkPerPiece = 1 << 15;  // weights
constexpr Size kRowsPerPiece = 8;

/// The distinct values in order; empty if there are more than 256.
std::vector<float> codebook_of(const AlignedFloats& values) {
  std::vector<float> book;
  for (const float value : values) {
    const auto at = std::lower_bound(book.begin(), book.end(), value);
    if (at != book.end() && *at == value) continue;
    if (book.size() == kCodes) return {};
    book.insert(at, value);
  }
  return book;
}

/// Pieces: blocks of output rows with about as many weights, for each row of x, or some rows of x.
class RowsStep final : public Step {
 public:
  RowsStep(const Kernels& kernels, const Constant& weight, const Constant* bias, Size rows, int input, int output,
           const Ending& ending, int threads)
      : kernels_(kernels),
        inputs_(weight.columns),
        outputs_(weight.rows),
        rows_(rows),
        input_(input),
        output_(output),
        ending_(ending),
        dense_(prefers_dense_rows(weight)) {
    if (bias) bias_ = bias->dense();
    pack(weight);
    picked_ = PickedMatrix::if_it_pays(kernels, weight);
    cut(threads);
  }

  Size pieces() const override {
    if (!picked_.empty()) return (rows_ + kRowsPerPiece - 1) / kRowsPerPiece;  // a row takes too little to be shared
    return static_cast<Size>(cuts_.size()) - 1;
  }
  Size readers() const override { return picked_.empty() ? pieces() : 1; }

  Size scratch() const override { return picked_.empty() ? 0 : PickedMatrix::scratch(outputs_, kMostPickedVectors); }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    if (!picked_.empty()) {
      const Size begin_row = begin * kRowsPerPiece, end_row = std::min(end * kRowsPerPiece, rows_);
      for (Size row = begin_row; row < end_row; row += kMostPickedVectors) {
        const Size count = std::min<Size>(kMostPickedVectors, end_row - row);
        if (picked(buffers, row, count, scratch)) continue;
        for (Size one = row; one < row + count; ++one)  // what isn't finite in one changes no bits of the others
          if (!picked(buffers, one, 1, scratch)) sparse(buffers, 0, outputs_, one, one + 1);
      }
      return;
    }
    for (Size piece = begin; piece < end; ++piece) {
      const Size first = cuts_[static_cast<std::size_t>(piece)], last = cuts_[static_cast<std::size_t>(piece) + 1];
      if (dense_) {
        dense(buffers, first, last);
        continue;
      }
      sparse(buffers, first, last, 0, rows_);
    }
  }

 private:
  /// Some rows of x, if they are finite.
  bool picked(Buffers buffers, Size first, Size count, float* scratch) const {
    float* const y = buffers[output_] + first * outputs_;
    for (Size row = 0; row < count; ++row)
      if (bias_.empty())
        std::fill_n(y + row * outputs_, outputs_, 0.0f);
      else
        std::copy_n(bias_.data(), outputs_, y + row * outputs_);
    if (!picked_.front().add_products(buffers[input_] + first * inputs_, count, y, scratch)) return false;
    for (Size i = 0; ending_.clips && i < count * outputs_; ++i) {
      const float raised = ending_.low > y[i] ? ending_.low : y[i];
      y[i] = ending_.high < raised ? ending_.high : raised;
    }
    return true;
  }

  void sparse(Buffers buffers, Size first, Size last, Size begin, Size end) const {
    SparseRows work{};
    work.starts = starts_.data() + first;
    work.columns16 = columns16_.empty() ? nullptr : columns16_.data();
    work.columns32 = columns32_.data();
    work.values = values_.data();
    work.codes = codes_.empty() ? nullptr : codes_.data();
    work.codebook = codebook_.data();
    each_row(work, kernels_.sparse_rows, buffers, first, last, begin, end);
  }

  void dense(Buffers buffers, Size first, Size last) const {
    DenseRows work{};
    work.weights = values_.data() + first * inputs_;
    work.inputs = inputs_;
    each_row(work, kernels_.dense_rows, buffers, first, last, 0, rows_);
  }

  /// Outputs first .. last - 1 of rows begin .. end - 1 of x; `work` knows the weights.
  template <class Work>
  void each_row(Work& work, void (*multiply)(const Work&), Buffers buffers, Size first, Size last, Size begin,
                Size end) const {
    work.bias = bias_.empty() ? nullptr : bias_.data() + first;
    work.rows = last - first;
    work.clips = ending_.clips;
    work.low = ending_.low;
    work.high = ending_.high;
    for (Size row = begin; row < end; ++row) {
      work.input = buffers[input_] + row * inputs_;
      work.output = buffers[output_] + row * outputs_ + first;
      multiply(work);
    }
  }

  void pack(const Constant& weight) {
    if (dense_) {
      const DenseEntries all(weight);
      values_.assign(all.all().begin(), all.all().end());
      for (Size row = 0; row <= outputs_; ++row) starts_.push_back(static_cast<std::uint32_t>(row * inputs_));
      return;
    }
    const std::vector<float> dense = weight.form == Constant::Form::kSparse ? std::vector<float>() : weight.dense();
    const bool are_near = inputs_ <= std::numeric_limits<std::uint16_t>::max();
    values_.reserve(static_cast<std::size_t>(weight.kept));
    (are_near ? columns16_.reserve(static_cast<std::size_t>(weight.kept))
              : columns32_.reserve(static_cast<std::size_t>(weight.kept)));
    starts_.push_back(0);
    const auto put = [&](Size column, float value) {
      values_.push_back(value);
      if (are_near)
        columns16_.push_back(static_cast<std::uint16_t>(column));
      else
        columns32_.push_back(static_cast<std::uint32_t>(column));
    };
    for (Size row = 0; row < outputs_; ++row) {
      if (dense.empty()) {
        for (std::uint32_t i = weight.start[static_cast<std::size_t>(row)];
             i < weight.start[static_cast<std::size_t>(row) + 1]; ++i)
          put(weight.column[i], weight.values[i]);
      } else {
        for (Size column = 0; column < inputs_; ++column)
          if (const float value = dense[static_cast<std::size_t>(row * inputs_ + column)]; value != 0.0f)
            put(column, value);
      }
      starts_.push_back(static_cast<std::uint32_t>(values_.size()));
    }
    if (columns16_.empty() && columns32_.empty()) columns32_.push_back(0);
    if (values_.size() < kCodedFrom) return;
    codebook_ = codebook_of(values_);
    if (codebook_.empty()) return;
    for (const float value : values_)
      codes_.push_back(
          static_cast<std::uint8_t>(std::lower_bound(codebook_.begin(), codebook_.end(), value) - codebook_.begin()));
    codebook_.resize(kCodes);
    values_ = {};
  }

  void cut(int threads) {
    const Size weights = starts_.back();
    const Size count = threads == 1 ? 1 : std::clamp<Size>(weights * rows_ / kWorkPerPiece, 1, 8 * threads);
    cuts_.push_back(0);
    for (Size i = 1; i < count; ++i) {
      const auto at = std::lower_bound(starts_.begin(), starts_.end(), static_cast<std::uint32_t>(weights * i / count));
      const Size row = std::min<Size>(at - starts_.begin(), outputs_);
      if (row > cuts_.back() && row < outputs_) cuts_.push_back(row);
    }
    cuts_.push_back(outputs_);
  }

  const Kernels& kernels_;
  Size inputs_, outputs_, rows_;
  int input_, output_;
  Ending ending_;
  bool dense_;
  std::vector<std::uint32_t> starts_;
  std::vector<std::uint16_t> columns16_;
  std::vector<std::uint32_t> columns32_;
  AlignedFloats values_;
  std::vector<float> codebook_, bias_;
  std::vector<std::uint8_t> codes_;
  std::vector<Size> cuts_;
  std::vector<PickedMatrix> picked_;  // one or none
};

}  // namespace

std::unique_ptr<Step> make_rows(const Kernels& kernels, const Constant& weight, const Constant* bias, Size rows,
                                int input, int output, const Ending& ending, int threads) {
  return std::make_unique<RowsStep>(kernels, weight, bias, rows, input, output, ending, threads);
}

bool prefers_dense_rows(const Constant& weight) {
  constexpr double kDenseFrom = 0.4;  // a weight and its column take more memory, and a load each
  return density(weight) >= kDenseFrom;
}

double rows_cycles(const Constant& weight, Size rows) {
  const double per_weight = prefers_dense_rows(weight) ? kCyclesPerDenseWeight : kCyclesPerWeight;
  return static_cast<double>(rows) *
         (static_cast<double>(weight.kept) * per_weight + static_cast<double>(weight.rows) * kCyclesPerRow);
}

}  // namespace netsurgery
