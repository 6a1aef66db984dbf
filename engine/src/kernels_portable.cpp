#define NETSURGERY_SET portable_kernels
#include "kernel_table.hpp"

namespace netsurgery {
const Kernels kPortableKernels = portable_kernels::table(Instructions::kPortable);
}
