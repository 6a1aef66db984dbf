#define NETSURGERY_SET avx512_kernels
#include "isa/every_kernel.hpp"

namespace netsurgery {
const Kernels kAvx512Kernels = avx512_kernels::table(Instructions::kAvx512);
}
