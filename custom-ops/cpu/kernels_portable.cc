#define BLOCKRANK_LANES 4
#define BLOCKRANK_TILE_TOKENS 6
#include "cpu/kernels_impl.h"

namespace blockrank {

const KernelTable& PortableKernels() {
  static constexpr KernelTable table = MakeKernelTable("portable");
  return table;
}

}  // namespace blockrank
