// A small pool of threads. The calling thread is one of them.
#pragma once

#include <memory>

namespace netsurgery {

class Threads {
 public:
  /// count >= 1, the caller included.
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const;
  /// Calls work(context, thread) once for each thread 0 .. count - 1, the caller being thread 0, and returns when all
  /// are done. `work` must not throw. Allocates nothing. Not re-entrant.
  void run(void (*work)(void* context, int thread), void* context);

  /// The same for a callable, without allocating.
  template <class Work>
  void run(Work& work) {
    run([](void* context, int thread) { (*static_cast<Work*>(context))(thread); }, &work);
  }

 private:
  struct ForkSafeTeam;
  std::unique_ptr<ForkSafeTeam> team_;
};

/// Cores that this process may use (its affinity mask, not the machine), at least 1.
int usable_cores();

}  // namespace netsurgery
