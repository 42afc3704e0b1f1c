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

// What a register tile fetches of the next panel meanwhile: `step` bytes at each group, from `from` on. The
// tiles share the panel, so that fetching keeps pace with computing; the processor's own prefetchers stop at
// pages.
struct Fetch {
  const uint8_t* from;
  int64_t step;
};

template <class A, int kTokens, int kVectors>
void PackedTile(const PackedGemmArgs& g, int64_t token, Fetch fetch) {
  typename A::Acc sum[kTokens][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[t][v] = A::Start(g.scale[(token + t) * g.scale_stride]);
  const uint8_t* a = g.a + token * g.lda;
  const uint8_t* w = g.w;
  for (int64_t k = 0; k < g.groups; ++k, a += kGroupBytes, w += kPanelRows * kGroupBytes) {
    IntVec rows[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) rows[v] = LoadGroups(w + v * kLanes * kGroupBytes);
    __builtin_prefetch(fetch.from, 0, 2);
    if constexpr (kPanelRows * kGroupBytes > 64) __builtin_prefetch(fetch.from + 64, 0, 2);
    fetch.from += fetch.step;
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
template <class A, int kTokens, int kVectors>
void PackedRemainder(const PackedGemmArgs& g, int64_t token, Fetch fetch) {
  if constexpr (kTokens > 0) {
    if (g.tokens - token >= kTokens) {
      PackedTile<A, kTokens, kVectors>(g, token, fetch);
    } else {
      PackedRemainder<A, kTokens - 1, kVectors>(g, token, fetch);
    }
  }
}

template <class A, int kVectors>
void PackedPanel(const PackedGemmArgs& g) {
  constexpr int64_t kGroupRow = kPanelRows * kGroupBytes;
  const int64_t tiles = CeilDiv(g.tokens, kTileTokens);
  Fetch fetch{g.w + g.groups * kGroupRow, kGroupRow / tiles};
  int64_t token = 0;
  for (; token + kTileTokens <= g.tokens; token += kTileTokens, fetch.from += g.groups * fetch.step)
    PackedTile<A, kTileTokens, kVectors>(g, token, fetch);
  PackedRemainder<A, kTileTokens - 1, kVectors>(g, token, fetch);
}

template <class A>
void PackedGemm(const PackedGemmArgs& g) {
  if (g.rows <= kLanes) return PackedPanel<A, 1>(g);
  PackedPanel<A, kPanelVectors>(g);
}

}  // namespace
}  // namespace blockrank
