#define NETSURGERY_SET avx2_kernels
#include "isa/every_kernel.hpp"

namespace netsurgery {
const Kernels kAvx2Kernels = avx2_kernels::table(Instructions::kAvx2);
}
