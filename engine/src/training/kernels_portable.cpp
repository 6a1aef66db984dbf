#define NETSURGERY_SET portable_kernels
#include "training/kernel_expansion.hpp"

namespace netsurgery {
extern const TrainingKernels kPortableTrainingKernels;
const TrainingKernels kPortableTrainingKernels = {portable_kernels::next_plane, portable_kernels::plane_total,
                                                  portable_kernels::plane_sum, portable_kernels::adopt};
}  // namespace netsurgery
