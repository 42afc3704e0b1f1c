#define BLOCKRANK_LANES 16
#define BLOCKRANK_TILE_TOKENS 4
#include "cpu/int8_arithmetic.h"
#include "cpu/packed_impl.h"

namespace blockrank {

const PackedTable& Int8Avx512VnniTable() {
  static constexpr PackedTable table =
      MakePackedTable<Int8Arithmetic>("avx512vnni", Compute::kInt8, kWeightFlip, QuantizeBlock);
  return table;
}

}  // namespace blockrank
