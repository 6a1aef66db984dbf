// Limits of control groups, read from a tree of files like the system's.
#include "threads/cores.hpp"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "check.hpp"
#include "threads/threads.hpp"

using namespace netsurgery;
namespace fs = std::filesystem;

namespace {

class Tree {
 public:
  Tree() {
    char pattern[] = "/tmp/netsurgery-cores-XXXXXX";
    CHECK(mkdtemp(pattern));
    root_ = pattern;
  }
  ~Tree() { fs::remove_all(root_); }
  Tree& file(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
    return *this;
  }
  int granted() const { return granted_cores(root_); }

 private:
  std::string root_;
};

void without_groups_nothing_is_limited() { CHECK(Tree().granted() == 0); }

void version_2_rounds_up() {
  Tree tree;
  tree.file("/proc/self/cgroup", "0::/slice/job\n").file("/sys/fs/cgroup/slice/job/cpu.max", "250000 100000\n");
  CHECK(tree.granted() == 3);
}

void max_means_no_limit() {
  Tree tree;
  tree.file("/proc/self/cgroup", "0::/slice\n").file("/sys/fs/cgroup/slice/cpu.max", "max 100000\n");
  CHECK(tree.granted() == 0);
}

void the_tightest_group_counts() {
  Tree tree;
  tree.file("/proc/self/cgroup", "0::/slice/job\n")
      .file("/sys/fs/cgroup/slice/job/cpu.max", "800000 100000\n")
      .file("/sys/fs/cgroup/slice/cpu.max", "200000 100000\n");
  CHECK(tree.granted() == 2);
}

void a_container_that_sees_only_its_own_group_is_limited() {
  Tree tree;
  tree.file("/proc/self/cgroup", "0::/docker/0123\n").file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  CHECK(tree.granted() == 1);
}

void version_1_is_read() {
  Tree tree;
  tree.file("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/slice\n")
      .file("/sys/fs/cgroup/cpu,cpuacct/slice/cpu.cfs_quota_us", "400000\n")
      .file("/sys/fs/cgroup/cpu,cpuacct/slice/cpu.cfs_period_us", "100000\n");
  CHECK(tree.granted() == 4);
}

void version_1_without_limit_says_minus_1() {
  Tree tree;
  tree.file("/proc/self/cgroup", "4:cpu:/\n")
      .file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
      .file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(tree.granted() == 0);
}

void nonsense_limits_nothing() {
  Tree tree;
  tree.file("/proc/self/cgroup", "0\n:::::\n0::nowhere\n\n4:cpu:/\n")
      .file("/sys/fs/cgroup/cpu.max", "100000 0\n")
      .file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "many\n");
  CHECK(tree.granted() == 0);
}

void usable_cores_follow_the_affinity() {
  cpu_set_t before;
  if (sched_getaffinity(0, sizeof before, &before) != 0) return;  // more processors than a plain set has
  const int cores = usable_cores();
  CHECK(cores >= 1 && cores <= CPU_COUNT(&before));
  cpu_set_t one;
  CPU_ZERO(&one);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_SET(first, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(usable_cores() == 1);
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
  CHECK(usable_cores() == cores);
}

void the_first_cache_is_of_a_size_that_processors_have() {
  const auto bytes = static_cast<long>(first_cache_bytes()), told = sysconf(_SC_LEVEL1_DCACHE_SIZE);
  CHECK(bytes >= 32 * 1024 && bytes <= 64 * 1024);
  if (told >= 32 * 1024 && told <= 64 * 1024) CHECK(bytes == told);
}

}  // namespace

int main() {
  without_groups_nothing_is_limited();
  version_2_rounds_up();
  max_means_no_limit();
  the_tightest_group_counts();
  a_container_that_sees_only_its_own_group_is_limited();
  version_1_is_read();
  version_1_without_limit_says_minus_1();
  nonsense_limits_nothing();
  usable_cores_follow_the_affinity();
  the_first_cache_is_of_a_size_that_processors_have();
}
