#define NETSURGERY_SET neon_kernels
#include "kernel_table.hpp"

namespace netsurgery {
const Kernels kNeonKernels = neon_kernels::table(Instructions::kNeon);
}
