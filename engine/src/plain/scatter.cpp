// ScatterElements, ScatterND: updates put where whole numbers say, one after another.
#include <cstring>

#include "plain/makers.hpp"
#include "plain/outside.hpp"
#include "plain/parts.hpp"
#include "plain/strides.hpp"
#include "plain/types.hpp"

namespace netsurgery::plain {
namespace {

// Both operators have their choices in this order.
using Reduction = ScatterElementsReduction;
static_assert(static_cast<int>(Reduction::kMin) == static_cast<int>(ScatterNDReduction::kMin));

template <class Entry>
Entry combined(Reduction reduction, Entry old, Entry update) {
  if constexpr (std::is_same_v<Entry, Bool>) {
    const bool a = old != 0, b = update != 0;
    switch (reduction) {
      case Reduction::kNone:
        return update;
      case Reduction::kAdd:
      case Reduction::kMax:
        return a | b;
      default:
        return a & b;
    }
  } else {
    switch (reduction) {
      case Reduction::kAdd:
        if constexpr (std::is_same_v<Entry, float>)
          return old + update;
        else
          return static_cast<Entry>(static_cast<Unsigned<Entry>>(old) + static_cast<Unsigned<Entry>>(update));
      case Reduction::kMul:
        if constexpr (std::is_same_v<Entry, float>)
          return old * update;
        else
          return static_cast<Entry>(static_cast<Unsigned<Entry>>(old) * static_cast<Unsigned<Entry>>(update));
      case Reduction::kMax:
        return old >= update || old != old ? old : update;
      case Reduction::kMin:
        return old <= update || old != old ? old : update;
      default:
        return update;
    }
  }
}

/// All in one piece: updates may meet at one place.
template <class Entry>
class Scattering : public PlainKernel {
 public:
  explicit Scattering(const Making& making) : count_(entries(making.output)), updates_(entries(making.operands[2])) {
    reduction_ = making.attributes().choice<Reduction>(AttributeName::kReduction);
  }
  Size pieces() const override { return 1; }
  Size cost() const override { return count_ + 4 * updates_; }
  bool may_fail() const override { return true; }
  std::string fault() const override { return outside_.said(); }
  void run(const float* const* inputs, float* output, Size, Size, float*) const override {
    Entry* y = seen_as<Entry>(output);
    std::memcpy(y, inputs[0], static_cast<std::size_t>(count_) * sizeof(Entry));
    put(inputs[1], seen_as<Entry>(inputs[2]), y);
  }

 protected:
  virtual void put(const float* indices, const Entry* updates, Entry* y) const = 0;

  Size count_, updates_;
  Reduction reduction_;
  Outside outside_;
};

template <class Entry, class Index>
class ScatterElements final : public Scattering<Entry> {
 public:
  explicit ScatterElements(const Making& making) : Scattering<Entry>(making), sizes_(making.operands[1]) {
    const auto axis = static_cast<std::size_t>(making.attributes().integer(AttributeName::kAxis));
    strides_ = contiguous_strides(making.operands[0]);
    size_ = making.operands[0][axis];
    stride_ = strides_[axis];
    strides_[axis] = 0;
  }

 private:
  void put(const float* memory, const Entry* updates, Entry* y) const override {
    const Index* indices = seen_as<Index>(memory);
    for (Size i = 0; i < this->updates_; ++i) {
      const Size place = this->outside_.place(static_cast<Size>(indices[i]), size_);
      if (place < 0) continue;
      Entry& entry = y[place_of(i, sizes_, strides_) + place * stride_];
      entry = combined(this->reduction_, entry, updates[i]);
    }
  }

  Shape sizes_;                // of the indices
  std::vector<Size> strides_;  // in x, 0 along the axis
  Size size_, stride_;
};

template <class Entry, class Index>
class ScatterND final : public Scattering<Entry> {
 public:
  explicit ScatterND(const Making& making) : Scattering<Entry>(making) {
    const Shape& x = making.operands[0];
    const auto names = static_cast<std::size_t>(making.operands[1].back());
    sizes_.assign(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(names));
    strides_ = contiguous_strides(x);
    inner_ = entries(x, names, x.size());
  }

 private:
  void put(const float* memory, const Entry* updates, Entry* y) const override {
    const Index* indices = seen_as<Index>(memory);
    for (Size row = 0; row * inner_ < this->updates_; ++row) {
      Size offset = 0;
      for (std::size_t i = 0; i < sizes_.size() && offset >= 0; ++i) {
        const Size place = this->outside_.place(static_cast<Size>(*indices++), sizes_[i]);
        if (place < 0) indices += sizes_.size() - 1 - i;  // the others of this row
        offset = place < 0 ? -1 : offset + place * strides_[i];
      }
      if (offset < 0) continue;
      for (Size i = 0; i < inner_; ++i)
        y[offset + i] = combined(this->reduction_, y[offset + i], updates[row * inner_ + i]);
    }
  }

  Shape sizes_;                // of x, of the axes that are named
  std::vector<Size> strides_;  // of x
  Size inner_;
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

Kernel make_scatter_elements(const Making& making) { return made<ScatterElements>(making); }

Kernel make_scatter_nd(const Making& making) { return made<ScatterND>(making); }

}  // namespace netsurgery::plain
