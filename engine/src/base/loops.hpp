// What compilers may take for granted of loops.
#pragma once

/// In front of a loop: no step reads what another one writes, though arrays may be the same.
#if defined(__clang__)
#define NETSURGERY_EACH_ALONE _Pragma("clang loop vectorize(assume_safety)")
#else
#define NETSURGERY_EACH_ALONE _Pragma("GCC ivdep")
#endif
