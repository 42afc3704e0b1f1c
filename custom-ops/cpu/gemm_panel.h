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

/// panel[k, n] = W[n, k]·scale[n] for n < kPanelRows, zero where n ≥ rows.
template <class F>
void PackPanel(const F* w, int64_t ldw, int64_t rows, int64_t depth, const RowScale& scale, float* panel) {
  for (int64_t n0 = 0; n0 < kPanelRows; n0 += kLanes) {
    const int64_t here = rows - n0 < kLanes ? rows - n0 : kLanes;
    for (int64_t k0 = 0; k0 < depth; k0 += kLanes) {
      const int64_t deep = depth - k0 < kLanes ? depth - k0 : kLanes;
      const F* corner = w + n0 * ldw + k0;
      float* target = panel + k0 * kPanelRows + n0;
      Vec tile[kLanes];
      if (here == kLanes && deep == kLanes) {
#pragma GCC unroll 16
        for (int n = 0; n < kLanes; ++n) tile[n] = Load(corner + n * ldw);
        ScaleTile<F>(tile, scale, n0, kLanes);
        Transpose(tile);
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k) Store(target + k * kPanelRows, tile[k]);
      } else {
        for (int64_t n = 0; n < kLanes; ++n) tile[n] = n < here ? LoadPartial(corner + n * ldw, deep) : Vec{};
        ScaleTile<F>(tile, scale, n0, here);
        Transpose(tile);
        for (int64_t k = 0; k < deep; ++k) Store(target + k * kPanelRows, tile[k]);
      }
    }
  }
}

/// Rows of floats, one for each token: where sums start (stride 0: all alike) or where they go.
template <class T>
struct Rows {
  T* data;
  int64_t stride;
};

/// C[t, :] = base[t, :] + Σ_k A[t, k]·panel[k, :] for kTokens rows of A. Each sum runs over k in order, in
/// one register, so splitting k, tokens or rows differently gives the same bits.
template <int kTokens>
void MicroKernel(const float* a, int64_t lda, const float* panel, int64_t depth, Rows<const float> base,
                 Rows<float> c) {
  Vec sum[kTokens][kPanelVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) sum[t][v] = Load(base.data + t * base.stride + v * kLanes);
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
    for (int v = 0; v < kPanelVectors; ++v) Store(c.data + t * c.stride + v * kLanes, sum[t][v]);
}

/// The same for any number of tokens below kTokens + 1.
template <int kTokens>
void Remainder(int64_t tokens, const float* a, int64_t lda, const float* panel, int64_t depth,
               Rows<const float> base, Rows<float> c) {
  if constexpr (kTokens > 0) {
    if (tokens == kTokens) {
      MicroKernel<kTokens>(a, lda, panel, depth, base, c);
    } else {
      Remainder<kTokens - 1>(tokens, a, lda, panel, depth, base, c);
    }
  }
}

/// What a panel's tiles fetch of the next one, each its share of the rows: all at once would wait for memory.
struct Fetch {
  const char* from;
  int64_t row_bytes;  // between rows
  int64_t width;      // bytes of a row
  int64_t share;      // rows of one tile

  void Next() {
    for (int64_t n = 0; n < share; ++n, from += row_bytes)
      for (int64_t byte = 0; byte < width; byte += 64) __builtin_prefetch(from + byte, 0, 2);
  }
};

/// C = base + A·panel for all tokens.
inline void PanelTiles(const GemmArgs& g, const float* a, const float* panel, int64_t depth, Fetch fetch,
                       Rows<const float> base, Rows<float> c) {
  int64_t t = 0;
  for (; t + kTileTokens <= g.tokens; t += kTileTokens) {
    fetch.Next();
    MicroKernel<kTileTokens>(a, g.lda, panel, depth, base, c);
    a += kTileTokens * g.lda;
    base.data += kTileTokens * base.stride;
    c.data += kTileTokens * c.stride;
  }
  Remainder<kTileTokens - 1>(g.tokens - t, a, g.lda, panel, depth, base, c);
}

/// What a panel of a block of `size` columns takes of them: equal parts in whole vectors, kPanelDepth at
/// most.
inline int64_t PanelDepth(int64_t size) {
  const int64_t parts = (size + kPanelDepth - 1) / kPanelDepth;
  return ((size + parts - 1) / parts + kLanes - 1) / kLanes * kLanes;
}

/// Sums of one block of columns, a panel's depth at a time; unfinished ones wait in `partial`.
template <class F>
void PanelBlock(const GemmArgs& g, int64_t begin, float* partial) {
  static constexpr float kZeros[kPanelRows] = {};
  const bool alone = g.c_block != 0;  // C_j is this block's sum; otherwise C is that of all blocks
  const int64_t end = begin + g.block < g.depth ? begin + g.block : g.depth;
  const RowScale scale = {g.scale == nullptr ? nullptr : g.scale + begin / g.block * g.scale_block,
                          g.scale_row};
  const int64_t step = PanelDepth(end - begin);
  for (int64_t k = begin; k < end; k += step) {
    const int64_t depth = end - k < step ? end - k : step;
    const F* w = static_cast<const F*>(g.w) + k;
    PackPanel(w, g.ldw, g.rows, depth, scale, g.scratch);
    const bool first = k == (alone ? begin : 0), last = k + depth == (alone ? end : g.depth);
    // What comes next: the columns after these, or the rows after these where they end.
    const F* next = k + depth == g.depth ? static_cast<const F*>(g.w) + g.rows * g.ldw : w + depth;
    const int64_t size = sizeof(F), tiles = g.tokens / kTileTokens;
    const Fetch fetch = {reinterpret_cast<const char*>(next), g.ldw * size, step * size,
                         tiles == 0 ? 0 : (g.rows + tiles - 1) / tiles};
    const Rows<const float> start = {g.base == nullptr ? kZeros : g.base, 0};
    const bool whole = last && g.rows == kPanelRows;
    float* c = g.c + begin / g.block * g.c_block;
    PanelTiles(g, g.a + k, g.scratch, depth, fetch, first ? start : Rows<const float>{partial, kPanelRows},
               whole ? Rows<float>{c, g.ldc} : Rows<float>{partial, kPanelRows});
    if (!last || whole) continue;
    for (int64_t t = 0; t < g.tokens; ++t)
      std::memcpy(c + t * g.ldc, partial + t * kPanelRows, static_cast<size_t>(g.rows) * sizeof(float));
  }
}

template <class F>
void GemmPanel(const GemmArgs& g) {
  // Half of a panel or less: one vector of factors cannot keep the multiply-adders busy, dot products can.
  if (g.rows <= kLanes && g.base == nullptr) return GemmDot<F>(g);
  for (int64_t begin = 0; begin < g.depth; begin += g.block)
    PanelBlock<F>(g, begin, g.scratch + kPanelDepth * kMaxPanelRows);
}

}  // namespace
}  // namespace blockrank
