// Arithmetic coding of bits with given probabilities (docs/format.md, "The range coder").
//
// Encoder and Decoder have the same face, `code(bit, p)` and `raw(value, count)`, so that a model is written once:
// the encoder returns what it was given, the decoder ignores it and returns what the file holds.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace netsurgery {

/// The interval is narrowed until its width falls below this; then a byte is settled.
constexpr std::uint32_t kSmallestRange = 1u << 24;

/// Bytes in blocks, so that growing never copies and handing over never holds them twice.
class ByteBlocks {
 public:
  ByteBlocks() = default;
  ByteBlocks(ByteBlocks&&) = default;
  ByteBlocks& operator=(ByteBlocks&&) = default;

  void push_back(std::uint8_t byte) {
    if (size_ % kBlock == 0) blocks_.emplace_back(new std::uint8_t[kBlock]);
    blocks_.back()[size_++ % kBlock] = byte;
  }
  void pop_back() {
    if (--size_ % kBlock == 0) blocks_.pop_back();
  }
  std::size_t size() const { return size_; }
  std::uint8_t back() const { return blocks_.back()[(size_ - 1) % kBlock]; }

  /// Copies everything to `destination`, which holds size() bytes; each block is given back once it is copied.
  void move_to(std::uint8_t* destination) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const std::size_t begin = i * kBlock, left = size_ - begin;
      std::memcpy(destination + begin, blocks_[i].get(), left < kBlock ? left : kBlock);
      blocks_[i].reset();
    }
    blocks_.clear();
    size_ = 0;
  }

 private:
  static constexpr std::size_t kBlock = std::size_t{1} << 16;
  std::vector<std::unique_ptr<std::uint8_t[]>> blocks_;
  std::size_t size_ = 0;
};

class Encoder {
 public:
  static constexpr bool kDecodes = false;

  /// Codes one bit; p / 65536 is the probability that it is 1, 1 <= p <= 65535.
  int code(int bit, std::uint32_t p) {
    ++decisions_;
    const std::uint32_t bound = static_cast<std::uint32_t>((static_cast<std::uint64_t>(range_) * p) >> 16);
    if (bit) {
      range_ = bound;
    } else {
      low_ += bound;
      range_ -= bound;
    }
    while (range_ < kSmallestRange) {
      range_ <<= 8;
      shift();
    }
    return bit;
  }

  /// Codes `count` (0..16) bits as they are.
  std::uint32_t raw(std::uint32_t value, int count) {
    range_ >>= count;
    low_ += static_cast<std::uint64_t>(value) * range_;
    while (range_ < kSmallestRange) {
      range_ <<= 8;
      shift();
    }
    return value;
  }

  /// The bytes that are settled, if there are at least `least`; they are not kept. finish() gives what comes after
  /// them.
  ByteBlocks take(std::size_t least) {
    return bytes_.size() < least ? ByteBlocks() : std::exchange(bytes_, ByteBlocks());
  }

  /// The bytes: of all numbers in the last interval the one with the most zero bytes at its end, those left out.
  ByteBlocks finish() {
    for (int kept = 0; kept <= 4; ++kept) {
      const std::uint64_t unit = std::uint64_t{1} << (32 - 8 * kept);
      const std::uint64_t number = (low_ + unit - 1) / unit * unit;
      if (number < low_ + range_) {
        low_ = number;
        break;
      }
    }
    for (int i = 0; i < 5; ++i) shift();
    while (bytes_.size() > 0 && bytes_.back() == 0) bytes_.pop_back();
    return std::exchange(bytes_, ByteBlocks());
  }

  /// How many bits were coded by their probability so far.
  std::uint64_t decisions() const { return decisions_; }

 private:
  // A byte of 0xFF can still be changed by a carry, so such bytes wait, behind the last one that isn't 0xFF.
  void shift() {
    if (low_ < 0xFF000000u || low_ > 0xFFFFFFFFu) {
      const auto carry = static_cast<std::uint8_t>(low_ >> 32);
      if (begun_) bytes_.push_back(static_cast<std::uint8_t>(waiting_ + carry));
      for (; pending_ > 0; --pending_) bytes_.push_back(static_cast<std::uint8_t>(0xFF + carry));
      waiting_ = static_cast<std::uint8_t>(low_ >> 24);
      begun_ = true;
    } else {
      ++pending_;
    }
    low_ = (low_ & 0x00FFFFFFu) << 8;
  }

  std::uint64_t decisions_ = 0;
  std::uint64_t low_ = 0;
  std::uint32_t range_ = 0xFFFFFFFFu;
  std::size_t pending_ = 0;
  std::uint8_t waiting_ = 0;
  bool begun_ = false;
  ByteBlocks bytes_;
};

class Decoder {
 public:
  static constexpr bool kDecodes = true;

  /// Reads `size` bytes, which have to stay where they are; beyond the end there are zeros. Bits that were foretold
  /// cost next to nothing, so `size` bounds no work: after `most_decisions` of them code() throws.
  Decoder(const std::uint8_t* bytes, std::size_t size, std::uint64_t most_decisions)
      : bytes_(bytes), size_(size), decisions_left_(most_decisions) {
    for (int i = 0; i < 4; ++i) value_ = value_ << 8 | next();
    if (value_ >= range_) value_ = range_ - 1;  // no encoder writes this; a damaged file may
  }

  /// Throws std::overflow_error once no decision is left.
  int code(int, std::uint32_t p) {
    if (decisions_left_ == 0) throw std::overflow_error("the content asks for more decisions than allowed");
    --decisions_left_;
    const std::uint32_t bound = static_cast<std::uint32_t>((static_cast<std::uint64_t>(range_) * p) >> 16);
    const int bit = value_ < bound;
    if (bit) {
      range_ = bound;
    } else {
      value_ -= bound;
      range_ -= bound;
    }
    while (range_ < kSmallestRange) {
      range_ <<= 8;
      value_ = value_ << 8 | next();
    }
    return bit;
  }

  std::uint32_t raw(std::uint32_t, int count) {
    range_ >>= count;
    std::uint32_t number = value_ / range_;
    const std::uint32_t largest = (1u << count) - 1;
    if (number > largest) number = largest;  // as above
    value_ -= number * range_;
    if (value_ >= range_) value_ = range_ - 1;
    while (range_ < kSmallestRange) {
      range_ <<= 8;
      value_ = value_ << 8 | next();
    }
    return number;
  }

  /// How much of the file the decisions so far have cost, to a fraction of a bit.
  double bits_read() const { return 8.0 * static_cast<double>(position_) - std::log2(static_cast<double>(range_)); }
  /// True once every byte of the file has been taken.
  bool at_end() const { return position_ >= size_; }

 private:
  std::uint8_t next() {
    const std::uint8_t byte = position_ < size_ ? bytes_[position_] : 0;
    ++position_;
    return byte;
  }

  const std::uint8_t* bytes_;
  std::size_t size_;
  std::size_t position_ = 0;
  std::uint64_t decisions_left_;
  std::uint32_t value_ = 0;
  std::uint32_t range_ = 0xFFFFFFFFu;
};

}  // namespace netsurgery
