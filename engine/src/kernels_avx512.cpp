#define NETSURGERY_SET avx512_kernels
#include "kernel_table.hpp"

namespace netsurgery {
const Kernels kAvx512Kernels = avx512_kernels::table(Instructions::kAvx512);
}
