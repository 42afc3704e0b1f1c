#define BLOCKRANK_LANES 16
#define BLOCKRANK_TILE_TOKENS 12
#include "cpu/kernels_impl.h"

namespace blockrank {

const KernelTable& Avx512Kernels() {
  static constexpr KernelTable table = MakeKernelTable("avx512");
  return table;
}

}  // namespace blockrank
