// Gather, GatherElements, GatherND: entries picked where whole numbers say.
#include <cstring>

#include "plain/makers.hpp"
#include "plain/outside.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

/// What notes indices that are no places.
class Picking : public PlainKernel {
 public:
  bool may_fail() const override { return true; }
  std::string fault() const override { return outside_.said(); }

 protected:
  Outside outside_;
};

/// x (outer, size, inner) -> (outer, indices, inner).
template <class Entry, class Index>
class Gather final : public Picking {
 public:
  explicit Gather(const Making& making) : count_(entries(making.operands[1])), parts_(1, 1) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    outer_ = entries(x, 0, axis);
    size_ = x[axis];
    inner_ = entries(x, axis + 1, x.size());
    parts_ = inner_ == 1 ? Parts(outer_, count_) : Parts(outer_ * count_, inner_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return outer_ * count_ * (inner_ + 2); }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const Entry* x = seen_as<Entry>(inputs[0]);
    const Index* indices = seen_as<Index>(inputs[1]);
    Entry* y = seen_as<Entry>(output);
    if (inner_ == 1) {
      parts_.each(begin, end, [&](Size row, Size from, Size to) {
        for (Size i = from; i < to; ++i) {
          const Size place = outside_.place(static_cast<Size>(indices[i]), size_);
          y[row * count_ + i] = place < 0 ? Entry{} : x[row * size_ + place];
        }
      });
      return;
    }
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Size place = outside_.place(static_cast<Size>(indices[row % count_]), size_);
      Entry* here = y + row * inner_;
      if (place < 0)
        std::fill(here + from, here + to, Entry{});
      else
        std::memcpy(here + from, x + (row / count_ * size_ + place) * inner_ + from,
                    static_cast<std::size_t>(to - from) * sizeof(Entry));
    });
  }

 private:
  Size count_, outer_ = 1, size_ = 1, inner_ = 1;
  Parts parts_;
};

template <class Entry, class Index>
class GatherElements final : public Picking {
 public:
  explicit GatherElements(const Making& making) : sizes_(making.operands[1]), parts_(1, 1) {
    const Shape& x = making.operands[0];
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    strides_ = contiguous_strides(x);
    size_ = x[axis];
    stride_ = strides_[axis];
    strides_[axis] = 0;
    step_ = strides_.back();
    length_ = sizes_.back();
    sizes_.pop_back();
    strides_.pop_back();
    parts_ = Parts(entries(sizes_), length_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return 4 * entries(sizes_) * length_; }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Entry* x = seen_as<Entry>(inputs[0]) + place_of(row, sizes_, strides_);
      const Index* indices = seen_as<Index>(inputs[1]) + row * length_;
      Entry* y = seen_as<Entry>(output) + row * length_;
      for (Size i = from; i < to; ++i) {
        const Size place = outside_.place(static_cast<Size>(indices[i]), size_);
        y[i] = place < 0 ? Entry{} : x[place * stride_ + i * step_];
      }
    });
  }

 private:
  Shape sizes_;                // of the indices, without the last axis
  std::vector<Size> strides_;  // in x, 0 along the axis
  Size size_, stride_, step_ = 0, length_ = 1;
  Parts parts_;
};

/// x (common, named, inner), indices (common, each, names).
template <class Entry, class Index>
class GatherND final : public Picking {
 public:
  explicit GatherND(const Making& making) : parts_(1, 1) {
    const Shape &x = making.operands[0], &indices = making.operands[1];
    const auto shared = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxesInCommon));
    const auto names = static_cast<std::size_t>(indices.back());
    const std::vector<Size> strides = contiguous_strides(x);
    for (std::size_t i = 0; i < names; ++i) named_.push_back({x[shared + i], strides[shared + i]});
    inner_ = entries(x, shared + names, x.size());
    pitch_ = entries(x, shared, x.size());
    each_ = entries(indices, shared, indices.size() - 1);
    rows_ = entries(indices, 0, indices.size() - 1);
    parts_ = Parts(rows_, inner_);
  }
  Size pieces() const override { return parts_.pieces(); }
  Size cost() const override { return rows_ * (inner_ + 2 * static_cast<Size>(named_.size())); }
  void run(const float* const* inputs, float* output, Size begin, Size end, float*) const override {
    const auto names = static_cast<Size>(named_.size());
    parts_.each(begin, end, [&](Size row, Size from, Size to) {
      const Index* indices = seen_as<Index>(inputs[1]) + row * names;
      Entry* y = seen_as<Entry>(output) + row * inner_;
      Size offset = row / each_ * pitch_;
      for (Size i = 0; i < names && offset >= 0; ++i) {
        const Named& axis = named_[static_cast<std::size_t>(i)];
        const Size place = outside_.place(static_cast<Size>(indices[i]), axis.size);
        offset = place < 0 ? -1 : offset + place * axis.stride;
      }
      if (offset < 0)
        std::fill(y + from, y + to, Entry{});
      else
        std::memcpy(y + from, seen_as<Entry>(inputs[0]) + offset + from,
                    static_cast<std::size_t>(to - from) * sizeof(Entry));
    });
  }

 private:
  struct Named {
    Size size, stride;
  };
  std::vector<Named> named_;
  Size inner_, pitch_, each_, rows_;
  Parts parts_;
};

template <template <class, class> class Of>
Kernel made(const Making& making) {
  return with_type(making.type(0), [&](auto entry) {
    return with_whole(making.type(1), [&](auto index) -> Kernel {
      return std::make_unique<Of<decltype(entry), decltype(index)>>(making);
    });
  });
}

}  // namespace

Kernel make_gather(const Making& making) { return made<Gather>(making); }

Kernel make_gather_elements(const Making& making) { return made<GatherElements>(making); }

Kernel make_gather_nd(const Making& making) { return made<GatherND>(making); }

}  // namespace netsurgery::plain
