// Chains of one instruction's multiply-adds that touch no memory. The including file defines BLOCKRANK_LANES.
#pragma once

#include <cstdint>

#include "cpu/vec.h"

namespace blockrank {
namespace {

constexpr int kChains = 12;  // latency 4 on 2 ports is 8, and 12 sums beside two operands fit 16 registers

// Makes a value unknown to the compiler, which would otherwise take x · w out of the loop and see equal
// chains.
template <class V>
inline void Forget(V& value) {
#if defined(__x86_64__)
  __asm__ volatile("" : "+x"(value));
#elif defined(__aarch64__)
  __asm__ volatile("" : "+w"(value));
#endif
}

/// `dot(sum, w, x)` in kChains chains, `rounds` times; Acc and Operand are whole vectors.
template <class Acc, class Operand, class Dot>
void RunChains(int64_t rounds, Dot&& dot) {
  Acc sums[kChains] = {};
  Operand w = {}, x = {};
  Forget(x);
  for (int c = 0; c < kChains; ++c) Forget(sums[c]);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      Forget(w);
      sums[c] = dot(sums[c], w, x);
    }
  }
  for (int c = 0; c < kChains; ++c) Forget(sums[c]);
}

}  // namespace
}  // namespace blockrank
