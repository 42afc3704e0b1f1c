#define BLOCKRANK_VECTOR 16
#include "kernels_impl.h"

namespace blockrank::linalg {

extern const Kernels kPortableKernels = KernelsOf<4, 2>("portable");

}  // namespace blockrank::linalg
