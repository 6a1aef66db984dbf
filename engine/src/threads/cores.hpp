// How many cores a process may use at a time.
#pragma once

#include <string>

namespace netsurgery {

/// Cores of the time that control groups grant (containers), rounded up, at least 1; 0 if they don't limit it. Both
/// versions of control groups. `root` stands before /proc and /sys, for tests.
int granted_cores(const std::string& root = "");

}  // namespace netsurgery
