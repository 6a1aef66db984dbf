// The instruction sets, best first: one row each. A new set is a row here, what the processor is asked for it
// (instructions.cpp), the compiler's options for it (CMakeLists.txt), and a unit in every folder of kernels.
#pragma once

#if defined(NETSURGERY_X86)
#define NETSURGERY_ON_X86 1
#else
#define NETSURGERY_ON_X86 0
#endif
#if defined(NETSURGERY_NEON)
#define NETSURGERY_ON_NEON 1
#else
#define NETSURGERY_ON_NEON 0
#endif

/// ROW(what its tables are called by, the word for it, 1 if this build has its kernels).
#define NETSURGERY_SETS(ROW)               \
  ROW(Avx512, "avx512", NETSURGERY_ON_X86) \
  ROW(Avx2, "avx2", NETSURGERY_ON_X86)     \
  ROW(Neon, "neon", NETSURGERY_ON_NEON)    \
  ROW(Portable, "portable", 1)

/// `expression` where `built` is 1, nullptr where it is 0.
#define NETSURGERY_WHERE_BUILT(built, expression) NETSURGERY_WHERE_BUILT_(built, expression)
#define NETSURGERY_WHERE_BUILT_(built, expression) NETSURGERY_WHERE_BUILT_##built(expression)
#define NETSURGERY_WHERE_BUILT_0(expression) nullptr
#define NETSURGERY_WHERE_BUILT_1(expression) expression
