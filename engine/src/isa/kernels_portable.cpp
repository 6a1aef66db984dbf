#define NETSURGERY_SET portable_kernels
#include "isa/every_kernel.hpp"

namespace netsurgery {
const Kernels kPortableKernels = portable_kernels::table(Instructions::kPortable);
}
