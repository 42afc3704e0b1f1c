// Few tokens: C = A·Wᵀ as dot products along k. W is read as stored, four rows and up to four tokens at a
// time.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kDotRows = 4;
constexpr int kDotTokens = kLanes == 16 ? 4 : 2;  // 4 × 4 sums need more than 16 registers

template <int kTokens, int kRows, class F>
void DotTile(const float* a, int64_t lda, const F* w, int64_t ldw, int64_t depth, float* c, int64_t ldc) {
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
  for (; k + kLanes <= depth; k += kLanes) step(k, full, full);
  if (k < depth) {
    const auto partial = [rest = depth - k](const auto* p) { return LoadPartial(p, rest); };
    step(k, partial, partial);
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 4
    for (int n = 0; n < kRows; ++n) c[t * ldc + n] = Sum(sum[t][n]);
}

template <int kRows, class F>
void DotRows(const GemmArgs& g, int64_t n) {
  const F* w = static_cast<const F*>(g.w) + n * g.ldw;
  int64_t t = 0;
  for (; t + kDotTokens <= g.tokens; t += kDotTokens)
    DotTile<kDotTokens, kRows>(g.a + t * g.lda, g.lda, w, g.ldw, g.k, g.c + t * g.ldc + n, g.ldc);
  for (; t < g.tokens; ++t)
    DotTile<1, kRows>(g.a + t * g.lda, g.lda, w, g.ldw, g.k, g.c + t * g.ldc + n, g.ldc);
}

template <class F>
void GemmDot(const GemmArgs& g) {
  int64_t n = 0;
  for (; n + kDotRows <= g.rows; n += kDotRows) DotRows<kDotRows, F>(g, n);
  for (; n < g.rows; ++n) DotRows<1, F>(g, n);
  for (int64_t t = 0; t < g.tokens; ++t)
    for (n = g.rows; n < 2 * kLanes; ++n) g.c[t * g.ldc + n] = 0;
}

}  // namespace
}  // namespace blockrank
