// Instruction sets: which of them this machine runs, and which one is used.
#pragma once

#include <vector>

#include "isa/sets.hpp"

namespace netsurgery {

struct Kernels;

#define NETSURGERY_ROW(set, word, built) k##set,
enum class Instructions { NETSURGERY_SETS(NETSURGERY_ROW) };
#undef NETSURGERY_ROW

/// "portable", "neon", "avx2", "avx512".
const char* name(Instructions instructions);

/// Sets that this machine runs, processor and operating system both, best first. kPortable is always the last.
std::vector<Instructions> available_instructions();

/// The best of them, or the one that NETSURGERY_ISA in the environment names. Throws Error(NS_ERROR_INSTRUCTIONS) if
/// that is none of them. Asks the environment each time.
Instructions chosen();

/// The kernel table of one of available_instructions().
const Kernels& kernels_for(Instructions instructions);

}  // namespace netsurgery
