#define NETSURGERY_SET neon_kernels
#include "isa/every_kernel.hpp"

namespace netsurgery {
const Kernels kNeonKernels = neon_kernels::table(Instructions::kNeon);
}
