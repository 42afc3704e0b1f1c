#define BLOCKRANK_VECTOR 64
#include "kernels_impl.h"

namespace blockrank::linalg {

extern const Kernels kAvx512Kernels = KernelsOf<8, 3>("avx512");

}  // namespace blockrank::linalg
