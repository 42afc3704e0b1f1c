#define BLOCKRANK_LANES 8
#define BLOCKRANK_TILE_TOKENS 6
#include "cpu/kernels_impl.h"

namespace blockrank {

const KernelTable& Avx2Kernels() {
  static constexpr KernelTable table = MakeKernelTable("avx2");
  return table;
}

}  // namespace blockrank
