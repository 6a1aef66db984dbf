// Flags and whole numbers of the graph, each with a context that says what it means (docs/format.md, "Numbers").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "file/mixing.hpp"

namespace netsurgery {

constexpr std::size_t kContexts = 384;

template <class Coder>
class IntegerModel {
 public:
  explicit IntegerModel(Coder& coder) : coder_(coder) {}

  /// Usually 0: a new context begins with a probability of 1/4 for 1.
  int flag(std::size_t context, int bit) {
    flags_[context].begin_with(kEven / 2);
    return code_with(coder_, flags_[context], bit);
  }

  /// 0 <= value < 2^32 - 1. With n = value + 1: the number of its bits in unary, the bit after its first, the others
  /// plain.
  std::uint32_t integer(std::size_t context, std::uint32_t value) {
    Numbers& numbers = integers_[context];
    const std::uint64_t n = static_cast<std::uint64_t>(value) + 1;
    int length = 0;
    while (length < 31 && code_with(coder_, numbers.length[static_cast<std::size_t>(length)], (n >> (length + 1)) != 0))
      ++length;
    std::uint64_t result = 1;
    if (length > 0) {
      const int second =
          code_with(coder_, numbers.second[static_cast<std::size_t>(length)], static_cast<int>(n >> (length - 1) & 1));
      result = result << 1 | static_cast<std::uint64_t>(second);
      for (int left = length - 1; left > 0;) {
        const int count = left > 16 ? 16 : left;
        left -= count;
        result = result << count | coder_.raw(static_cast<std::uint32_t>(n >> left & ((1u << count) - 1)), count);
      }
    }
    return static_cast<std::uint32_t>(result - 1);
  }

 private:
  struct Numbers {
    std::array<Slot, 32> length{};
    std::array<Slot, 32> second{};
  };
  Coder& coder_;
  std::array<Slot, kContexts> flags_{};
  std::array<Numbers, kContexts> integers_{};
};

}  // namespace netsurgery
