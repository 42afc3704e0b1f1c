#define BLOCKRANK_VECTOR 32
#include "kernels_impl.h"

namespace blockrank::linalg {

extern const Kernels kAvx2Kernels = KernelsOf<4, 3>("avx2");

}  // namespace blockrank::linalg
