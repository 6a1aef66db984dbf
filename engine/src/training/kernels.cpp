#include "training/kernels.hpp"

namespace netsurgery {

#define NETSURGERY_ROW(set, word, built) extern const TrainingKernels k##set##TrainingKernels;
NETSURGERY_SETS(NETSURGERY_ROW)
#undef NETSURGERY_ROW

const TrainingKernels& training_kernels_for(Instructions instructions) {
#define NETSURGERY_ROW(set, word, built) NETSURGERY_WHERE_BUILT(built, &k##set##TrainingKernels),
  static constexpr const TrainingKernels* kKernels[] = {NETSURGERY_SETS(NETSURGERY_ROW)};
#undef NETSURGERY_ROW
  return *kKernels[static_cast<int>(instructions)];
}

}  // namespace netsurgery
