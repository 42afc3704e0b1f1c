#define BLOCKRANK_DOUBLES 2
#include "kernels_impl.h"

namespace blockrank::linalg {

extern const Kernels kPortableKernels = KernelsOf<4, 2>("portable");

}  // namespace blockrank::linalg
