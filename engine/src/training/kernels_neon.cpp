#define NETSURGERY_SET neon_kernels
#include "training/kernel_expansion.hpp"

namespace netsurgery {
extern const TrainingKernels kNeonTrainingKernels;
const TrainingKernels kNeonTrainingKernels = {neon_kernels::next_plane, neon_kernels::plane_total,
                                              neon_kernels::plane_sum, neon_kernels::adopt};
}  // namespace netsurgery
