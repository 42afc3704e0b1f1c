// Many tokens: C = A·Wᵀ with panel_rows rows of W transposed into L2, a register tile of kTileTokens × 2
// vectors.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kTileTokens = BLOCKRANK_TILE_TOKENS;
constexpr int kPanelRows = 2 * kLanes;

/// panel[k, n] = W[n, k] for n < kWidth; zero where n ≥ rows.
template <int kWidth, class F>
void PackPanel(const F* w, int64_t ldw, int64_t rows, int64_t depth, float* panel) {
  for (int64_t n0 = 0; n0 < kWidth; n0 += kLanes) {
    const int64_t here = rows - n0 < kLanes ? rows - n0 : kLanes;
    for (int64_t k0 = 0; k0 < depth; k0 += kLanes) {
      const int64_t deep = depth - k0 < kLanes ? depth - k0 : kLanes;
      const F* corner = w + n0 * ldw + k0;
      float* target = panel + k0 * kWidth + n0;
      Vec tile[kLanes];
      if (here == kLanes && deep == kLanes) {
#pragma GCC unroll 16
        for (int n = 0; n < kLanes; ++n) tile[n] = Load(corner + n * ldw);
        Transpose(tile);
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k) Store(target + k * kWidth, tile[k]);
      } else {
        for (int64_t n = 0; n < kLanes; ++n) tile[n] = n < here ? LoadPartial(corner + n * ldw, deep) : Vec{};
        Transpose(tile);
        for (int64_t k = 0; k < deep; ++k) Store(target + k * kWidth, tile[k]);
      }
    }
  }
}

/// C[t, :] (+)= Σ_k A[t, k]·panel[k, :] for kTokens rows of A. Each sum runs over k in order, in one
/// register, so splitting k, tokens or rows differently gives the same bits.
template <int kTokens, int kVectors>
void MicroKernel(const float* a, int64_t lda, const float* panel, int64_t depth, float* c, int64_t ldc,
                 bool accumulate) {
  Vec sum[kTokens][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[t][v] = accumulate ? Load(c + t * ldc + v * kLanes) : Vec{};
  for (int64_t k = 0; k < depth; ++k) {
    Vec w[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) w[v] = Load(panel + (k * kVectors + v) * kLanes);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const Vec x = Broadcast(a[t * lda + k]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[t][v] += x * w[v];
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) Store(c + t * ldc + v * kLanes, sum[t][v]);
}

template <int kTokens, int kVectors>
void Remainder(int64_t tokens, const float* a, int64_t lda, const float* panel, int64_t depth, float* c,
               int64_t ldc, bool accumulate) {
  if constexpr (kTokens > 0) {
    if (tokens == kTokens) {
      MicroKernel<kTokens, kVectors>(a, lda, panel, depth, c, ldc, accumulate);
    } else {
      Remainder<kTokens - 1, kVectors>(tokens, a, lda, panel, depth, c, ldc, accumulate);
    }
  }
}

template <int kVectors, class F>
void GemmPanelOf(const GemmArgs& g) {
  const F* w = static_cast<const F*>(g.w);
  for (int64_t k0 = 0; k0 < g.k; k0 += kPanelDepth) {
    const int64_t depth = g.k - k0 < kPanelDepth ? g.k - k0 : kPanelDepth;
    PackPanel<kVectors * kLanes>(w + k0, g.ldw, g.rows, depth, g.scratch);
    const float* a = g.a + k0;
    int64_t t = 0;
    for (; t + kTileTokens <= g.tokens; t += kTileTokens)
      MicroKernel<kTileTokens, kVectors>(a + t * g.lda, g.lda, g.scratch, depth, g.c + t * g.ldc, g.ldc,
                                         k0 > 0);
    Remainder<kTileTokens - 1, kVectors>(g.tokens - t, a + t * g.lda, g.lda, g.scratch, depth,
                                         g.c + t * g.ldc, g.ldc, k0 > 0);
  }
}

template <class F>
void GemmPanel(const GemmArgs& g) {
  if (g.rows > kLanes) return GemmPanelOf<2, F>(g);
  GemmPanelOf<1, F>(g);
  for (int64_t t = 0; t < g.tokens; ++t) Store(g.c + t * g.ldc + kLanes, Vec{});
}

}  // namespace
}  // namespace blockrank
