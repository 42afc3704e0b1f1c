// Few tokens: C = A·Wᵀ as dot products along k. W is read as stored, four rows and up to four tokens at a
// time.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kDotRows = 4;
/// Vectors of a factor's numbers in a cache line.
template <class F>
constexpr int kLineVectors = kLanes * sizeof(F) < 64 ? 64 / (kLanes * sizeof(F)) : 1;
/// How far ahead of the sums to fetch: less and short rows (r of U) wait for memory, more and what was
/// fetched is gone again (1 KiB … 16 KiB tried).
constexpr int64_t kAheadBytes = 4096;
constexpr int kDotTokens = kLanes == 16 ? 4 : 2;  // 4 × 4 sums need more than 16 registers

/// Where the sums of one block go, and how: c[t, n] = scale[n·stride]·sum, added to what is there or not.
struct DotTarget {
  float* c;
  int64_t ldc;
  const float* scale;  // null: 1
  int64_t stride;
  bool add;
};

template <int kRows>
inline void StoreDots(const Vec* sum, const DotTarget& target, int64_t t) {
  float* c = target.c + t * target.ldc;
  if (target.scale == nullptr) return SumRows<kRows>(sum, c);
  float dots[kRows];
  SumRows<kRows>(sum, dots);
  for (int n = 0; n < kRows; ++n)
    c[n] = dots[n] * target.scale[n * target.stride] + (target.add ? c[n] : 0.0f);
}

/// Σ_k A[t, k]·W[n, k] for kTokens × kRows sums. `ahead` elements after W's are fetched meanwhile: rows that
/// come next, which the processor's own prefetchers do not guess.
template <int kTokens, int kRows, class F>
void DotTile(const float* a, int64_t lda, const F* w, int64_t ldw, int64_t ahead, int64_t depth,
             const DotTarget& target, int64_t first) {
  Vec sum[kTokens][kRows] = {};
  const auto step = [&](int64_t k, auto load_a, auto load_w) {
    Vec x[kTokens];
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) x[t] = load_a(a + t * lda + k);
#pragma GCC unroll 4
    for (int n = 0; n < kRows; ++n) {
      const Vec row = load_w(w + n * ldw + k);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) sum[t][n] += x[t] * row;
    }
  };
  const auto full = [](const auto* p) { return Load(p); };
  int64_t k = 0;
  for (; k + kLineVectors<F> * kLanes <= depth; k += kLineVectors<F> * kLanes) {
#pragma GCC unroll 4
    for (int n = 0; ahead != 0 && n < kRows; ++n) __builtin_prefetch(w + n * ldw + k + ahead, 0, 2);
#pragma GCC unroll 8
    for (int v = 0; v < kLineVectors<F>; ++v) step(k + v * kLanes, full, full);
  }
  for (; k + kLanes <= depth; k += kLanes) step(k, full, full);
  if (k < depth && depth >= kLanes) {
    // The last kLanes columns again, without those that are in the sums already.
    const int64_t done = k - (depth - kLanes);
    const auto rest = [done](const auto* p) { return DropLanes(Load(p), done); };
    step(depth - kLanes, rest, rest);
  } else if (k < depth) {
    const auto partial = [depth](const auto* p) { return LoadPartial(p, depth); };
    step(0, partial, partial);
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) StoreDots<kRows>(sum[t], target, first + t);
}

/// As many whole groups of rows ahead as make kAheadBytes.
template <class F>
int64_t Ahead(int64_t group) {
  const int64_t bytes = group * static_cast<int64_t>(sizeof(F));
  return group * ((kAheadBytes + bytes - 1) / bytes);
}

/// Rows n … n + kRows − 1 of every block, so that each row of W is read from its first column to its last.
template <int kRows, class F>
void DotRows(const GemmArgs& g, int64_t n) {
  const F* w = static_cast<const F*>(g.w) + n * g.ldw;
  for (int64_t begin = 0; begin < g.depth; begin += g.block) {
    const int64_t depth = g.depth - begin < g.block ? g.depth - begin : g.block;
    const float* a = g.a + begin;
    const int64_t j = begin / g.block;
    const float* scale = g.scale == nullptr ? nullptr : g.scale + n * g.scale_row + j * g.scale_block;
    const DotTarget target = {g.c + j * g.c_block + n, g.ldc, scale, g.scale_row, j > 0 && g.c_block == 0};
    int64_t ahead = Ahead<F>(kRows * g.ldw);
    int64_t t = 0;
    for (; t + kDotTokens <= g.tokens; t += kDotTokens, ahead = 0)
      DotTile<kDotTokens, kRows>(a + t * g.lda, g.lda, w + begin, g.ldw, ahead, depth, target, t);
    for (; t < g.tokens; ++t, ahead = 0)
      DotTile<1, kRows>(a + t * g.lda, g.lda, w + begin, g.ldw, ahead, depth, target, t);
  }
}

template <class F>
void GemmDot(const GemmArgs& g) {
  int64_t n = 0;
  for (; n + kDotRows <= g.rows; n += kDotRows) DotRows<kDotRows, F>(g, n);
  for (; n < g.rows; ++n) DotRows<1, F>(g, n);
}

}  // namespace
}  // namespace blockrank
