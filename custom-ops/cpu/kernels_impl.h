// The kernel table of one instruction set. The including file defines BLOCKRANK_LANES (floats per vector) and
// BLOCKRANK_TILE_TOKENS (tokens in the register tile: tokens × 2 sums + 2 factor vectors + 1 must fit the
// registers).
#pragma once

#include "cpu/couple.h"
#include "cpu/gemm_dot.h"
#include "cpu/gemm_panel.h"
#include "cpu/kernel_table.h"
#include "cpu/store.h"

namespace blockrank {
namespace {

constexpr KernelTable MakeKernelTable(const char* name) {
  static_assert(kPanelRows <= kMaxPanelRows);
  using A = Activation;
  return {name,
          kPanelRows,
          {GemmDot<float>, GemmDot<Half>, GemmDot<BFloat16>, GemmDot<int8_t>},
          {GemmPanel<float>, GemmPanel<Half>, GemmPanel<BFloat16>, GemmPanel<int8_t>},
          Couple<float>,
          {Widen<float>, Widen<Half>, Widen<BFloat16>, Widen<int8_t>},
          {{StoreOutput<float, A::kNone>, StoreOutput<float, A::kRelu>, StoreOutput<float, A::kGelu>,
            StoreOutput<float, A::kGeluTanh>, StoreOutput<float, A::kSilu>},
           {StoreOutput<Half, A::kNone>, StoreOutput<Half, A::kRelu>, StoreOutput<Half, A::kGelu>,
            StoreOutput<Half, A::kGeluTanh>, StoreOutput<Half, A::kSilu>}}};
}

}  // namespace
}  // namespace blockrank
