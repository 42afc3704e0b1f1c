#define BLOCKRANK_LANES 8
#define BLOCKRANK_TILE_TOKENS 4
#include "cpu/int8_arithmetic.h"
#include "cpu/packed_impl.h"

namespace blockrank {

const PackedTable& Int8Avx2Table() {
  static constexpr PackedTable table =
      MakePackedTable<Int8Arithmetic>("avx2", Compute::kInt8, kWeightFlip, QuantizeBlock);
  return table;
}

}  // namespace blockrank
