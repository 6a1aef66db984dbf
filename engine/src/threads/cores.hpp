// How many cores a process may use at a time, and what a core has.
#pragma once

#include <cstddef>
#include <string>

namespace netsurgery {

/// Cores of the time that control groups grant (containers), rounded up, at least 1; 0 if they don't limit it. Both
/// versions of control groups. `root` stands before /proc and /sys, for tests.
int granted_cores(const std::string& root = "");

/// Of a core's first cache for data: what the system says, from 32 KiB, which all have, to 64 KiB.
std::ptrdiff_t first_cache_bytes();

}  // namespace netsurgery
