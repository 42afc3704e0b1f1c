#define BLOCKRANK_DOUBLES 4
#include "kernels_impl.h"

namespace blockrank::linalg {

extern const Kernels kAvx2Kernels = KernelsOf<4, 3>("avx2");

}  // namespace blockrank::linalg
