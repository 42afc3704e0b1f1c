// BLAST's coupling z_i = Σ_j S_ij ⊙ t_j, register-blocked over tokens and output blocks, vectorised over the
// rank.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kCoupleTokens = kLanes == 16 ? 4 : 2;
constexpr int kCoupleBlocks = 4;

template <class F, int kTokens, int kBlocks>
void CoupleTile(const CoupleArgs& c, int64_t column, int64_t token, int64_t block) {
  Vec sum[kTokens][kBlocks] = {};
  const F* s = static_cast<const F*>(c.s) + block * c.b_in * c.s_stride + column * c.s_column_stride;
  const float* t = c.t + token * c.t_token_stride + column;
  for (int64_t j = 0; j < c.b_in; ++j) {
    Vec x[kTokens];
#pragma GCC unroll 4
    for (int m = 0; m < kTokens; ++m) x[m] = Load(t + j * c.t_block_stride + m * c.t_token_stride);
#pragma GCC unroll 4
    for (int i = 0; i < kBlocks; ++i) {
      const Vec scale = Load(s + (i * c.b_in + j) * c.s_stride);
#pragma GCC unroll 4
      for (int m = 0; m < kTokens; ++m) sum[m][i] += x[m] * scale;
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kBlocks; ++i)
#pragma GCC unroll 4
    for (int m = 0; m < kTokens; ++m)
      Store(c.z + (block + i) * c.z_block_stride + (token + m) * c.z_token_stride + column, sum[m][i]);
}

template <class F, int kTokens>
void CoupleTokens(const CoupleArgs& c, int64_t column, int64_t token) {
  int64_t i = 0;
  for (; i + kCoupleBlocks <= c.b_out; i += kCoupleBlocks)
    CoupleTile<F, kTokens, kCoupleBlocks>(c, column, token, i);
  for (; i < c.b_out; ++i) CoupleTile<F, kTokens, 1>(c, column, token, i);
}

template <class F>
void Couple(const CoupleArgs& c) {
  for (int64_t column = 0; column < c.width; column += kLanes) {
    int64_t token = 0;
    for (; token + kCoupleTokens <= c.tokens; token += kCoupleTokens)
      CoupleTokens<F, kCoupleTokens>(c, column, token);
    for (; token < c.tokens; ++token) CoupleTokens<F, 1>(c, column, token);
  }
}

}  // namespace
}  // namespace blockrank
