// Many tokens: C = A·Wᵀ with panel_rows rows of W transposed into L2, a register tile of kTileTokens × 2
// vectors.
#pragma once

#include "cpu/gemm_dot.h"
#include "cpu/kernel_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kTileTokens = BLOCKRANK_TILE_TOKENS;
constexpr int kPanelVectors = 2;
constexpr int kPanelRows = kPanelVectors * kLanes;

/// The scales of a panel's rows; 1 but for int8.
struct RowScale {
  const float* scale;
  int64_t stride;
};

/// Rows of W times their scales.
template <class F>
inline void ScaleTile(Vec* tile, const RowScale& scale, int64_t n0, int64_t count) {
  if constexpr (sizeof(F) == 1) {
    for (int64_t n = 0; n < count; ++n) tile[n] = tile[n] * scale.scale[(n0 + n) * scale.stride];
  }
}

/// panel[k, n] = W[n, k]·scale[n] for n < kPanelRows, zero where n ≥ rows. Meanwhile fetches `next`, the
/// corner of the next panel's W.
template <class F>
void PackPanel(const F* w, int64_t ldw, int64_t rows, int64_t depth, const RowScale& scale, const F* next,
               float* panel) {
  for (int64_t n0 = 0; n0 < kPanelRows; n0 += kLanes) {
    const int64_t here = rows - n0 < kLanes ? rows - n0 : kLanes;
    for (int64_t k0 = 0; k0 < depth; k0 += kLanes) {
      const int64_t deep = depth - k0 < kLanes ? depth - k0 : kLanes;
      const int64_t corner = n0 * ldw + k0;
      float* target = panel + k0 * kPanelRows + n0;
      Vec tile[kLanes];
      if (here == kLanes && deep == kLanes) {
#pragma GCC unroll 16
        for (int n = 0; n < kLanes; ++n) {
          tile[n] = Load(w + corner + n * ldw);
          __builtin_prefetch(next + corner + n * ldw, 0, 2);
        }
        ScaleTile<F>(tile, scale, n0, kLanes);
        Transpose(tile);
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k) Store(target + k * kPanelRows, tile[k]);
      } else {
        for (int64_t n = 0; n < kLanes; ++n)
          tile[n] = n < here ? LoadPartial(w + corner + n * ldw, deep) : Vec{};
        ScaleTile<F>(tile, scale, n0, here);
        Transpose(tile);
        for (int64_t k = 0; k < deep; ++k) Store(target + k * kPanelRows, tile[k]);
      }
    }
  }
}

/// C[t, :] (+)= Σ_k A[t, k]·panel[k, :] for kTokens rows of A. Each sum runs over k in order, in one
/// register, so splitting k, tokens or rows differently gives the same bits.
template <int kTokens>
void MicroKernel(const float* a, int64_t lda, const float* panel, int64_t depth, float* c, int64_t ldc,
                 bool accumulate) {
  Vec sum[kTokens][kPanelVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) sum[t][v] = accumulate ? Load(c + t * ldc + v * kLanes) : Vec{};
  for (int64_t k = 0; k < depth; ++k) {
    Vec w[kPanelVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) w[v] = Load(panel + (k * kPanelVectors + v) * kLanes);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const Vec x = Broadcast(a[t * lda + k]);
#pragma GCC unroll 2
      for (int v = 0; v < kPanelVectors; ++v) sum[t][v] += x * w[v];
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) Store(c + t * ldc + v * kLanes, sum[t][v]);
}

/// The same for any number of tokens below kTokens + 1.
template <int kTokens>
void Remainder(int64_t tokens, const float* a, int64_t lda, const float* panel, int64_t depth, float* c,
               int64_t ldc, bool accumulate) {
  if constexpr (kTokens > 0) {
    if (tokens == kTokens) {
      MicroKernel<kTokens>(a, lda, panel, depth, c, ldc, accumulate);
    } else {
      Remainder<kTokens - 1>(tokens, a, lda, panel, depth, c, ldc, accumulate);
    }
  }
}

/// One block: C = A[:, begin …]·W[:, begin …]ᵀ over `depth` columns, or C += that; whole panels of C written.
template <class F>
void PanelBlock(const GemmArgs& g, int64_t begin, int64_t depth, float* c, int64_t ldc, bool add) {
  const F* w = static_cast<const F*>(g.w) + begin;
  const RowScale scale = {g.scale == nullptr ? nullptr : g.scale + begin / g.block * g.scale_block,
                          g.scale_row};
  for (int64_t k0 = 0; k0 < depth; k0 += kPanelDepth) {
    const int64_t deep = depth - k0 < kPanelDepth ? depth - k0 : kPanelDepth;
    // What comes next: the columns after these, or the rows after these where they end.
    const bool last = begin + k0 + deep >= g.depth;
    const F* next = last ? static_cast<const F*>(g.w) + g.rows * g.ldw : w + k0 + deep;
    PackPanel(w + k0, g.ldw, g.rows, deep, scale, next, g.scratch);
    const float* a = g.a + begin + k0;
    int64_t t = 0;
    for (; t + kTileTokens <= g.tokens; t += kTileTokens)
      MicroKernel<kTileTokens>(a + t * g.lda, g.lda, g.scratch, deep, c + t * ldc, ldc, add || k0 > 0);
    Remainder<kTileTokens - 1>(g.tokens - t, a + t * g.lda, g.lda, g.scratch, deep, c + t * ldc, ldc,
                               add || k0 > 0);
  }
}

template <class F>
void GemmPanel(const GemmArgs& g) {
  // Half of a panel or less: one vector of factors cannot keep the multiply-adders busy, dot products can.
  if (g.rows <= kLanes) return GemmDot<F>(g);
  float* edge = g.scratch + kPanelDepth * kMaxPanelRows;
  for (int64_t begin = 0; begin < g.depth; begin += g.block) {
    const int64_t depth = g.depth - begin < g.block ? g.depth - begin : g.block;
    float* target = g.c + begin / g.block * g.c_block;
    const bool add = begin > 0 && g.c_block == 0;
    if (g.rows == kPanelRows) {
      PanelBlock<F>(g, begin, depth, target, g.ldc, add);
      continue;
    }
    PanelBlock<F>(g, begin, depth, edge, kPanelRows, add);
    for (int64_t t = 0; t < g.tokens; ++t)
      std::memcpy(target + t * g.ldc, edge + t * kPanelRows, static_cast<size_t>(g.rows) * sizeof(float));
  }
}

}  // namespace
}  // namespace blockrank
