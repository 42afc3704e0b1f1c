// The packed engine's table for one arithmetic on one instruction set. The including file defines
// BLOCKRANK_LANES and BLOCKRANK_TILE_TOKENS (tokens × 2 sums and what Dot needs must fit the registers).
#pragma once

#include "cpu/couple.h"
#include "cpu/packed_gemm.h"
#include "cpu/packed_table.h"
#include "cpu/store.h"

namespace blockrank {
namespace {

template <class A>
constexpr PackedTable MakePackedTable(const char* name, Compute compute, uint8_t weight_flip,
                                      decltype(PackedTable::narrow) narrow) {
  static_assert(kPanelRows <= kMaxPackedPanelRows);
  using Act = Activation;
  return {name,
          compute,
          kPanelRows,
          kLanes,
          weight_flip,
          PackedGemm<A>,
          narrow,
          {Couple<float>, Couple<Half>, Couple<BFloat16>},
          {Widen<float>, Widen<Half>, Widen<BFloat16>},
          {{StoreOutput<float, Act::kNone>, StoreOutput<float, Act::kRelu>, StoreOutput<float, Act::kGelu>,
            StoreOutput<float, Act::kGeluTanh>, StoreOutput<float, Act::kSilu>},
           {StoreOutput<Half, Act::kNone>, StoreOutput<Half, Act::kRelu>, StoreOutput<Half, Act::kGelu>,
            StoreOutput<Half, Act::kGeluTanh>, StoreOutput<Half, Act::kSilu>}}};
}

}  // namespace
}  // namespace blockrank
