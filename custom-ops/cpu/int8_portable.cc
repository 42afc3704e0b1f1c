#define BLOCKRANK_LANES 4
#define BLOCKRANK_TILE_TOKENS 2
#include "cpu/int8_arithmetic.h"
#include "cpu/packed_impl.h"

namespace blockrank {

const PackedTable& Int8PortableTable() {
  static constexpr PackedTable table =
      MakePackedTable<Int8Arithmetic>("portable", Compute::kInt8, kWeightFlip, QuantizeBlock);
  return table;
}

}  // namespace blockrank
