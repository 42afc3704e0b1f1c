// The packed engine's micro-kernel: a register tile of kTileTokens × 2 vectors of rows, for any arithmetic.
//
// An arithmetic `A` has: Acc (a vector of sums), Start(BlockScale), Dot(acc, w, x) which multiplies groups of
// 4 bytes and adds, and Finish(acc, row_scale, scale) → Vec.
#pragma once

#include "cpu/packed_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kTileTokens = BLOCKRANK_TILE_TOKENS;
constexpr int kPanelVectors = 2;
constexpr int64_t kPanelRows = kPanelVectors * kLanes;

inline IntVec LoadGroups(const uint8_t* p) {
  IntVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline IntVec BroadcastGroup(const uint8_t* p) {
  int32_t group;
  std::memcpy(&group, p, sizeof group);
  return BroadcastInt(group);
}

/// The first tile fetches the panel that follows this one in memory: the processor's own prefetchers stop at
/// pages, and other tiles read the panel from cache.
template <class A, int kTokens, int kVectors, bool kFirst>
void PackedTile(const PackedGemmArgs& g, int64_t token) {
  typename A::Acc sum[kTokens][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[t][v] = A::Start(g.scale[(token + t) * g.scale_stride]);
  const uint8_t* a = g.a + token * g.lda;
  const uint8_t* w = g.w;
  const int64_t ahead = g.groups * kPanelRows * kGroupBytes;
  for (int64_t k = 0; k < g.groups; ++k, a += kGroupBytes, w += kPanelRows * kGroupBytes) {
    IntVec rows[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      rows[v] = LoadGroups(w + v * kLanes * kGroupBytes);
      if constexpr (kFirst) __builtin_prefetch(w + ahead + v * kLanes * kGroupBytes, 0, 2);
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const IntVec x = BroadcastGroup(a + t * g.lda);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[t][v] = A::Dot(sum[t][v], rows[v], x);
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const Vec base = Load(g.base + (token + t) * g.base_stride + v * kLanes);
      const float scale = g.scale[(token + t) * g.scale_stride].scale;
      Store(g.c + (token + t) * g.ldc + v * kLanes,
            base + A::Finish(sum[t][v], g.row_scale + v * kLanes, scale));
    }
}

/// The `tokens` < kTokens + 1 tokens from `token` on.
template <class A, int kTokens, int kVectors, bool kFirst>
void PackedRemainder(const PackedGemmArgs& g, int64_t token) {
  if constexpr (kTokens > 0) {
    if (g.tokens - token >= kTokens) {
      PackedTile<A, kTokens, kVectors, kFirst>(g, token);
    } else {
      PackedRemainder<A, kTokens - 1, kVectors, kFirst>(g, token);
    }
  }
}

template <class A, int kVectors>
void PackedPanel(const PackedGemmArgs& g) {
  PackedRemainder<A, kTileTokens, kVectors, true>(g, 0);
  int64_t token = kTileTokens;
  for (; token + kTileTokens <= g.tokens; token += kTileTokens)
    PackedTile<A, kTileTokens, kVectors, false>(g, token);
  PackedRemainder<A, kTileTokens - 1, kVectors, false>(g, token);
}

template <class A>
void PackedGemm(const PackedGemmArgs& g) {
  if (g.rows <= kLanes) return PackedPanel<A, 1>(g);
  PackedPanel<A, kPanelVectors>(g);
}

}  // namespace
}  // namespace blockrank
