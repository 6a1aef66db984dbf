#include "threads/cores.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

#include "threads/threads.hpp"

namespace netsurgery {
namespace {

/// Cores of the processor that this process may run on; 0: unknown.
int allowed_cores() {
#if defined(__linux__)
  for (int most = 1024; most <= 1 << 16; most *= 4) {  // the system refuses a set smaller than its own
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(most));
    if (!set) return 0;
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const int cores = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (cores > 0) return cores;
  }
#endif
  return 0;
}

/// "100000" of a file, or of its first word; -1 where there is no such file or no number in it ("max").
double number(std::istream& from) {
  double value = -1;
  return from >> value ? value : -1;
}

double number_in(const std::string& path) {
  std::ifstream file(path);
  return number(file);
}

/// Time of cores for a unit of time, if a group limits it: version 2 has both numbers in one file.
double quota_of_version_2(const std::string& group) {
  std::ifstream file(group + "/cpu.max");
  const double quota = number(file), period = number(file);
  return quota > 0 && period > 0 ? quota / period : 0;
}

double quota_of_version_1(const std::string& group) {
  const double quota = number_in(group + "/cpu.cfs_quota_us"), period = number_in(group + "/cpu.cfs_period_us");
  return quota > 0 && period > 0 ? quota / period : 0;
}

/// The tightest limit of a group and of all that it lies in.
double tightest(double (*quota_of)(const std::string&), const std::string& mount, std::string group) {
  double least = 0;
  for (;;) {
    const double quota = quota_of(mount + group);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

}  // namespace

int granted_cores(const std::string& root) {
  std::ifstream groups(root + "/proc/self/cgroup");
  double least = 0;
  // A line for each hierarchy: number:controllers:path. Version 2 has the number 0 and no controllers.
  for (std::string line; std::getline(groups, line);) {
    std::istringstream fields(line);
    std::string hierarchy, controllers, path;
    if (!std::getline(fields, hierarchy, ':') || !std::getline(fields, controllers, ':') || !std::getline(fields, path))
      continue;
    double quota = 0;
    if (hierarchy == "0" && controllers.empty())
      quota = tightest(quota_of_version_2, root + "/sys/fs/cgroup", path);
    else if (("," + controllers + ",").find(",cpu,") != std::string::npos)
      quota = tightest(quota_of_version_1, root + "/sys/fs/cgroup/" + controllers, path);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  return static_cast<int>(std::ceil(std::min(least, 65536.0)));
}

int usable_cores() {
  int cores = allowed_cores();
  if (cores < 1) cores = static_cast<int>(std::thread::hardware_concurrency());
  const int granted = granted_cores();
  if (granted > 0) cores = std::min(cores, granted);
  return std::max(cores, 1);
}

std::ptrdiff_t first_cache_bytes() {
  constexpr std::ptrdiff_t kLeast = 32 * 1024, kMost = 64 * 1024;
  std::ptrdiff_t bytes = 0;
#if defined(__linux__) && defined(_SC_LEVEL1_DCACHE_SIZE)
  bytes = static_cast<std::ptrdiff_t>(sysconf(_SC_LEVEL1_DCACHE_SIZE));
#endif
  return std::clamp(bytes, kLeast, kMost);
}

}  // namespace netsurgery
