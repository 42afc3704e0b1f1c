#include "kernels.h"

namespace blockrank::linalg {

extern const Kernels kAvx512Kernels, kAvx2Kernels, kPortableKernels;

const Kernels& ChosenKernels() {
#if defined(__x86_64__)
  static const Kernels& chosen = __builtin_cpu_supports("avx512f") ? kAvx512Kernels
                                 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                                     ? kAvx2Kernels
                                     : kPortableKernels;
  return chosen;
#else
  return kPortableKernels;
#endif
}

}  // namespace blockrank::linalg
