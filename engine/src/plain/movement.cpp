// Reshape, Concat, Slice, Transpose, Expand, Reverse: entries go elsewhere, unchanged.
#include <cstring>
#include <type_traits>

#include "plain/makers.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

template <class Entry>
void copy(const Entry* from, Entry* to, Size count) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(Entry));
}

template <class Entry>
class Copy final : public PlainKernel {
 public:
  explicit Copy(const Making& making) : count_(entries(making.output)), parts_(1, count_) {}
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return count_; }
  bool in_place() const override { return true; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    if (inputs[0] == output) return;
    parts_.each(begin, end, [&](Size, Size from, Size to) {
      copy(seen_as<Entry>(inputs[0]) + from, seen_as<Entry>(output) + from, to - from);
    });
  }

 private:
  Size count_;
  Parts parts_;
};

template <class Entry>
class Concat final : public PlainKernel {
 public:
  explicit Concat(const Making& making) : cost_(entries(making.output)) {
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    const Size rows = entries(making.output, 0, axis);
    for (const Shape& shape : making.operands) {
      const Size length = entries(shape, axis, shape.size());
      sources_.push_back({pieces_, length_, length, Parts(rows, length)});
      pieces_ += sources_.back().parts.pieces();
      length_ += length;
    }
  }
  Size pieces() const override { return pieces_; }
  Size cost() const override { return cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const Source& source = sources_[i];
      const Size first = std::max(begin - source.first_piece, Size{0});
      const Size last = std::min(end - source.first_piece, source.parts.pieces());
      if (first >= last) continue;
      source.parts.each(first, last, [&](Size row, Size from, Size to) {
        copy(seen_as<Entry>(inputs[i]) + row * source.length + from,
             seen_as<Entry>(output) + row * length_ + source.offset + from, to - from);
      });
    }
  }

 private:
  struct Source {
    Size first_piece, offset, length;  // offset and length in a row of the output
    Parts parts;
  };

  std::vector<Source> sources_;
  Size pieces_ = 0, length_ = 0, cost_;
};

/// The entries of x that lie `strides` apart along each axis of the output.
template <class Entry>
class Strided final : public PlainKernel {
 public:
  Strided(Shape sizes, std::vector<Size> strides, Size offset)
      : sizes_(std::move(sizes)), strides_(std::move(strides)), offset_(offset), cost_(entries(sizes_)), parts_(1, 1) {
    join_axes(sizes_, {&strides_});
    if (!sizes_.empty()) {
      length_ = sizes_.back();
      stride_ = strides_.back();
      sizes_.pop_back();
      strides_.pop_back();
    }
    parts_ = Parts(entries(sizes_), length_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return 2 * cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Entry* __restrict x = seen_as<Entry>(inputs[0]) + offset_ + place_of(row, sizes_, strides_);
      Entry* __restrict y = seen_as<Entry>(output) + row * length_;
      if (stride_ == 1)
        copy(x + from, y + from, to - from);
      else
        for (Size i = from; i < to; ++i) y[i] = x[i * stride_];
    });
  }

 private:
  Shape sizes_;
  std::vector<Size> strides_;
  Size offset_, cost_;
  Size length_ = 1, stride_ = 1;
  Parts parts_;
};

/// Matrices whose rows become columns: the last axis of x and that of the output are two different ones. Square tiles,
/// so that of what is read and written whole cache lines are used.
template <class Entry>
class Turned final : public PlainKernel {
 public:
  /// sizes, strides: as for Strided, joined. down: the axis of the output along which neighbours in x lie.
  Turned(Shape sizes, std::vector<Size> strides, std::size_t down, const Kernels& kernels)
      : kernels_(kernels),
        sizes_(std::move(sizes)),
        strides_(std::move(strides)),
        cost_(entries(sizes_)),
        parts_(1, 1) {
    to_ = contiguous_strides(sizes_);
    length_ = sizes_.back();
    stride_ = strides_.back();
    height_ = sizes_[down];
    pitch_ = to_[down];
    for (auto* axes : {&sizes_, &strides_, &to_}) {
      axes->pop_back();
      axes->erase(axes->begin() + static_cast<std::ptrdiff_t>(down));
    }
    bands_ = quotient_up(height_, kTile);
    parts_ = Parts(entries(sizes_) * bands_, length_, kPieceEntries / std::min(height_, kTile));
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return 2 * cost_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Entry* __restrict x = seen_as<Entry>(inputs[0]) + place_of(row / bands_, sizes_, strides_);
      Entry* __restrict y = seen_as<Entry>(output) + place_of(row / bands_, sizes_, to_);
      const Size top = row % bands_ * kTile, bottom = std::min(top + kTile, height_);
      if constexpr (std::is_same_v<Entry, float>) {
        kernels_.turn(x + top + from * stride_, stride_, to - from, bottom - top, y + top * pitch_ + from, pitch_);
      } else {
        for (Size i = from; i < to; ++i)
          for (Size k = top; k < bottom; ++k) y[k * pitch_ + i] = x[k + i * stride_];
      }
    });
  }

 private:
  static constexpr Size kTile = 16;

  const Kernels& kernels_;
  Shape sizes_;                     // of the axes that are left
  std::vector<Size> strides_, to_;  // in x, in the output
  Size cost_, length_, stride_, height_, pitch_, bands_;
  Parts parts_;
};

Kernel copy(const Making& making) {
  return with_type(making.node.type,
                   [&](auto entry) -> Kernel { return std::make_unique<Copy<decltype(entry)>>(making); });
}

}  // namespace

Kernel make_reshape(const Making& making) { return copy(making); }

/// All that there may be.
Kernel make_first_entries(const Making& making) { return copy(making); }

Kernel make_concat(const Making& making) {
  return with_type(making.node.type,
                   [&](auto entry) -> Kernel { return std::make_unique<Concat<decltype(entry)>>(making); });
}

Kernel make_slice(const Making& making) {
  const Attributes& attributes = making.attributes();
  const auto axis = static_cast<std::size_t>(attributes.integer(AttributeName::kAxis));
  std::vector<Size> strides = contiguous_strides(making.operands[0]);
  const Size offset = attributes.integer(AttributeName::kStart) * strides[axis];
  strides[axis] *= attributes.integer(AttributeName::kStep);
  return with_type(making.node.type, [&](auto entry) -> Kernel {
    return std::make_unique<Strided<decltype(entry)>>(making.output, strides, offset);
  });
}

namespace {

/// x of these sizes with its axes in another order.
Kernel reordered(const Making& making, const Shape& x, const std::vector<Size>& order) {
  const std::vector<Size> own = contiguous_strides(x);
  Shape sizes;
  std::vector<Size> strides;
  for (const Size axis : order) {
    sizes.push_back(x[static_cast<std::size_t>(axis)]);
    strides.push_back(own[static_cast<std::size_t>(axis)]);
  }
  join_axes(sizes, {&strides});
  return with_type(making.node.type, [&](auto entry) -> Kernel {
    for (std::size_t axis = 0; axis + 1 < sizes.size(); ++axis)
      if (strides[axis] == 1) return std::make_unique<Turned<decltype(entry)>>(sizes, strides, axis, making.kernels);
    return std::make_unique<Strided<decltype(entry)>>(sizes, strides, 0);
  });
}

}  // namespace

Kernel make_transpose(const Making& making) {
  return reordered(making, making.operands[0], making.attributes().integers(AttributeName::kOrder));
}

/// (N, C x B, *S) as (N, C, B_0, B_1 ..., S_0, S_1 ...), to (N, C, S_0, B_0, S_1, B_1 ...).
Kernel make_depth_to_space(const Making& making) {
  const Shape &x = making.operands[0], &y = making.output;
  const std::vector<Size>& blocks = making.attributes().integers(AttributeName::kBlocks);
  const bool blocks_first =
      making.attributes().choice<DepthToSpaceOrder>(AttributeName::kOrder) == DepthToSpaceOrder::kDcr;
  const auto count = static_cast<Size>(blocks.size());
  Shape apart = blocks;
  apart.insert(blocks_first ? apart.end() : apart.begin(), y[1]);
  apart.insert(apart.begin(), x[0]);
  apart.insert(apart.end(), x.begin() + 2, x.end());
  std::vector<Size> order{0, blocks_first ? count + 1 : 1};
  for (Size axis = 0; axis < count; ++axis) {
    order.push_back(count + 2 + axis);
    order.push_back((blocks_first ? 1 : 2) + axis);
  }
  return reordered(making, apart, order);
}

/// (N, C, S_0, B_0, S_1, B_1 ...) to (N, C, B_0, B_1 ..., S_0, S_1 ...).
Kernel make_space_to_depth(const Making& making) {
  const Shape &x = making.operands[0], &y = making.output;
  const std::vector<Size>& blocks = making.attributes().integers(AttributeName::kBlocks);
  Shape apart{x[0], x[1]};
  std::vector<Size> of_blocks, of_sizes;
  for (std::size_t axis = 0; axis < blocks.size(); ++axis) {
    of_sizes.push_back(static_cast<Size>(apart.size()));
    apart.push_back(y[axis + 2]);
    of_blocks.push_back(static_cast<Size>(apart.size()));
    apart.push_back(blocks[axis]);
  }
  const bool blocks_first =
      making.attributes().choice<SpaceToDepthOrder>(AttributeName::kOrder) == SpaceToDepthOrder::kDcr;
  std::vector<Size> order = of_blocks;
  order.insert(blocks_first ? order.end() : order.begin(), 1);
  order.insert(order.begin(), 0);
  order.insert(order.end(), of_sizes.begin(), of_sizes.end());
  return reordered(making, apart, order);
}

Kernel make_expand(const Making& making) {
  const std::vector<Size> strides = broadcast_strides(making.operands[0], making.output);
  return with_type(making.node.type, [&](auto entry) -> Kernel {
    return std::make_unique<Strided<decltype(entry)>>(making.output, strides, 0);
  });
}

Kernel make_reverse(const Making& making) {
  const Shape& x = making.operands[0];
  std::vector<Size> strides = contiguous_strides(x);
  Size offset = 0;
  for (const Size named : making.attributes().integers(AttributeName::kAxes)) {
    const auto axis = static_cast<std::size_t>(named);
    offset += (x[axis] - 1) * strides[axis];
    strides[axis] = -strides[axis];
  }
  return with_type(making.node.type, [&](auto entry) -> Kernel {
    return std::make_unique<Strided<decltype(entry)>>(x, strides, offset);
  });
}

}  // namespace netsurgery::plain
