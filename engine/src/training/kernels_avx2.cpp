#define NETSURGERY_SET avx2_kernels
#include "training/kernel_expansion.hpp"

namespace netsurgery {
extern const TrainingKernels kAvx2TrainingKernels;
const TrainingKernels kAvx2TrainingKernels = {avx2_kernels::next_plane, avx2_kernels::plane_total,
                                              avx2_kernels::plane_sum, avx2_kernels::adopt};
}  // namespace netsurgery
