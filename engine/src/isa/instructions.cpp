// NETSURGERY_X86 and NETSURGERY_NEON come from the build, which then has the units of those sets.
#include "isa/instructions.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

#if defined(NETSURGERY_X86)
#include <cpuid.h>
#endif

#include "base/error.hpp"
#include "isa/kernels.hpp"

namespace netsurgery {
namespace {

struct Set {
  Instructions instructions;
  const char* name;
  const Kernels* kernels;  // nullptr where this build has none
};

#define NETSURGERY_ROW(set, word, built) {Instructions::k##set, word, NETSURGERY_WHERE_BUILT(built, &k##set##Kernels)},
constexpr Set kSets[] = {NETSURGERY_SETS(NETSURGERY_ROW)};
#undef NETSURGERY_ROW
constexpr std::size_t kMostQuoted = 40;  // characters of what somebody typed

#if defined(NETSURGERY_X86)
/// Registers that the operating system saves when it changes threads (XCR0). What it doesn't save can't be used,
/// whatever the processor has.
std::uint32_t saved_registers() {
  std::uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool all(std::uint32_t of, std::uint32_t bits) { return (of & bits) == bits; }

struct X86 {
  bool avx2 = false, avx512 = false;
  X86() {
    std::uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    constexpr std::uint32_t kFma = 1u << 12, kOsXsave = 1u << 27, kAvx = 1u << 28;
    if (!all(c, kFma | kOsXsave | kAvx)) return;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    constexpr std::uint32_t kAvx2 = 1u << 5, kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;
    constexpr std::uint32_t kYmm = 0x06, kZmm = 0xE6;  // zmm: the masks and both kinds of wide halves, too
    const std::uint32_t saved = saved_registers();
    avx2 = all(b, kAvx2) && all(saved, kYmm);
    avx512 = avx2 && all(b, kF | kDq | kBw | kVl) && all(saved, kZmm);
  }
};
#endif

bool runs(Instructions instructions) {
  switch (instructions) {
    case Instructions::kPortable:
      return true;
#if defined(NETSURGERY_X86)
    case Instructions::kAvx2:
      return X86().avx2;
    case Instructions::kAvx512:
      return X86().avx512;
#elif defined(NETSURGERY_NEON)
    case Instructions::kNeon:  // part of every aarch64
      return true;
#endif
    default:
      return false;
  }
}

std::string names(const std::vector<Instructions>& sets) {
  std::string list;
  for (const Instructions set : sets) list += (list.empty() ? "" : ", ") + std::string(name(set));
  return list;
}

/// What somebody typed, at a length that a sentence bears.
std::string quoted(const std::string& text) {
  std::string shown;
  for (const char letter : text.substr(0, kMostQuoted)) shown += letter >= ' ' && letter <= '~' ? letter : '?';
  return "'" + shown + (text.size() > kMostQuoted ? "...'" : "'");
}

}  // namespace

const char* name(Instructions instructions) { return kSets[static_cast<int>(instructions)].name; }

std::vector<Instructions> available_instructions() {
  std::vector<Instructions> sets;
  for (const Set& set : kSets)
    if (set.kernels && runs(set.instructions)) sets.push_back(set.instructions);
  return sets;
}

Instructions chosen() {
  const std::vector<Instructions> available = available_instructions();
  const char* variable = std::getenv("NETSURGERY_ISA");
  if (!variable || !*variable) return available.front();
  const std::string wanted = variable;
  for (const Instructions set : available)
    if (wanted == name(set)) return set;
  const std::string remedy = "; this machine runs " + names(available) + ": name one of these, or unset the variable";
  for (const Set& set : kSets)
    if (wanted == set.name)
      throw Error(NS_ERROR_INSTRUCTIONS, "NETSURGERY_ISA is " + quoted(wanted) + ", which this machine lacks" + remedy);
  throw Error(NS_ERROR_INSTRUCTIONS,
              "NETSURGERY_ISA is " + quoted(wanted) + ", which is not an instruction set known here" + remedy);
}

const Kernels& kernels_for(Instructions instructions) { return *kSets[static_cast<int>(instructions)].kernels; }

}  // namespace netsurgery
