// Probabilities that learn, and their mixing (docs/format.md, "Slots" and "Mixing").
//
// A slot estimates one bit in one situation. A mixer weighs the estimates of several slots, as deviations from the
// first one, in the domain of logits. Everything is integer arithmetic, so that every machine gets the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace netsurgery {

static_assert((std::int64_t{-1} >> 1) == -1, "the format needs shifts that round towards minus infinity");

constexpr int kLogitUnit = 256;      // one unit of logit
constexpr int kLargestLogit = 2815;  // 11 units: a probability of 1 / 65536 * 1.10
constexpr int kLargestCount = 255;   // observations after which a slot learns no more slowly
constexpr int kLargestAge = 1023;    // decisions after which a mixer learns no more slowly

struct MixingTables {
  std::array<std::int32_t, 4096> logit;                          // of (i + 1/2) / 4096
  std::array<std::uint32_t, 2 * kLargestLogit + 1> probability;  // of a logit, in 1 / 65536
  std::array<std::int64_t, kLargestCount + 1> slot_rate;         // in 1 / 65536
  std::array<std::int64_t, kLargestAge + 1> early_rate;          // of a mixer beyond its steady rate, in 1 / 65536
  MixingTables() {
    for (int i = 0; i < 4096; ++i) {
      const double p = (i + 0.5) / 4096;
      logit[static_cast<std::size_t>(i)] =
          static_cast<std::int32_t>(std::floor(std::log(p / (1 - p)) * kLogitUnit + 0.5));
    }
    for (int i = -kLargestLogit; i <= kLargestLogit; ++i)
      probability[static_cast<std::size_t>(i + kLargestLogit)] =
          static_cast<std::uint32_t>(std::floor(65536 / (1 + std::exp(-static_cast<double>(i) / kLogitUnit)) + 0.5));
    for (int n = 0; n <= kLargestCount; ++n) slot_rate[static_cast<std::size_t>(n)] = 131072 / (2 * n + 5);
    for (int n = 0; n <= kLargestAge; ++n) early_rate[static_cast<std::size_t>(n)] = 65536 / (50 + n);
  }
};

inline const MixingTables kTables;

/// One estimate: the probability of a 1 in units of 2^-22 (0: none yet), and how often it was seen.
struct Slot {
  std::uint32_t p = 0;
  std::uint32_t count = 0;

  void begin_with(std::uint32_t other) {
    if (p == 0) p = other;
  }
  void learn(int bit) {
    const std::int64_t target = bit ? 1 << 22 : 0;
    const std::int64_t moved = p + (((target - p) * kTables.slot_rate[count]) >> 16);
    p = static_cast<std::uint32_t>(std::clamp<std::int64_t>(moved, 1024, (1 << 22) - 1024));
    if (count < static_cast<std::uint32_t>(kLargestCount)) ++count;
  }
  /// In units of 2^-16, 1 .. 65535.
  std::uint32_t p16() const { return p >> 6; }
};

constexpr std::uint32_t kEven = 1u << 21;  // a slot's probability one half

/// Codes one bit with one slot alone.
template <class Coder>
int code_with(Coder& coder, Slot& slot, int bit) {
  slot.begin_with(kEven);
  bit = coder.code(bit, slot.p16());
  slot.learn(bit);
  return bit;
}

/// Weighs N slots. `sets` sets of weights are kept side by side; each decision says which one it uses.
template <int N>
class Mixer {
 public:
  Mixer(std::size_t sets, int steady_rate) : sets_(sets), steady_rate_(steady_rate) {}

  /// Codes one bit. A slot that has seen nothing begins where the first one stands.
  template <class Coder>
  int code(Coder& coder, std::size_t set, const std::array<Slot*, N>& slots, int bit) {
    Set& weights = sets_[set];
    slots[0]->begin_with(kEven);
    const std::uint32_t first = slots[0]->p;
    const std::int32_t base = kTables.logit[first >> 10];
    std::array<std::int32_t, N> x;
    x[0] = base;
    std::int64_t sum = weights.w[0] * static_cast<std::int64_t>(base);
    for (std::size_t i = 1; i < N; ++i) {
      slots[i]->begin_with(first);
      x[i] = kTables.logit[slots[i]->p >> 10] - base;
      sum += weights.w[i] * static_cast<std::int64_t>(x[i]);
    }
    const std::int64_t logit = sum >> 16;
    const std::int64_t bounded = std::clamp<std::int64_t>(logit, -kLargestLogit, kLargestLogit);
    const std::uint32_t p = kTables.probability[static_cast<std::size_t>(bounded + kLargestLogit)];
    bit = coder.code(bit, p);
    const std::int64_t error = (bit << 16) - static_cast<std::int64_t>(p);
    const std::int64_t rate = steady_rate_ + kTables.early_rate[static_cast<std::size_t>(weights.age)];
    const std::int64_t step = error * rate;
    for (std::size_t i = 0; i < N; ++i) {
      const std::int64_t moved = weights.w[i] + ((step * x[i] + (1 << 23)) >> 24);
      weights.w[i] = static_cast<std::int32_t>(std::clamp(moved, -kLargestWeight, kLargestWeight));
      slots[i]->learn(bit);
    }
    if (weights.age < kLargestAge) ++weights.age;
    return bit;
  }

 private:
  static constexpr std::int64_t kLargestWeight = 1 << 20;  // 16: far beyond what learning reaches
  struct Set {
    std::array<std::int32_t, N> w;
    std::int32_t age = 0;
    Set() {
      w.fill(10486);  // 0.16
      w[0] = 65536;   // 1
    }
  };
  std::vector<Set> sets_;
  std::int64_t steady_rate_;
};

}  // namespace netsurgery
