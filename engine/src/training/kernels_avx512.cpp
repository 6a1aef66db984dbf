#define NETSURGERY_SET avx512_kernels
#include "training/kernel_expansion.hpp"

namespace netsurgery {
extern const TrainingKernels kAvx512TrainingKernels;
const TrainingKernels kAvx512TrainingKernels = {avx512_kernels::next_plane, avx512_kernels::plane_total,
                                                avx512_kernels::plane_sum, avx512_kernels::adopt};
}  // namespace netsurgery
