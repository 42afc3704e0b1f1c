#define BLOCKRANK_LANES 16
#define BLOCKRANK_TILE_TOKENS 12
#include "cpu/bf16_arithmetic.h"
#include "cpu/packed_impl.h"

namespace blockrank {

const PackedTable& BFloat16Avx512Table() {
  static constexpr PackedTable table =
      MakePackedTable<BFloat16Arithmetic>("avx512bf16", Compute::kBFloat16, 0, RoundBlock);
  return table;
}

}  // namespace blockrank
