// bfloat16 arithmetic of AVX512_BF16: pairs of bfloat16 multiplied and added in fp32. Denormals count as
// zeros.
#pragma once

#include <immintrin.h>

#include "cpu/packed_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

struct BFloat16Arithmetic {
  using Acc = Vec;
  static Acc Start(const BlockScale&) { return Vec{}; }
  static Acc Dot(Acc sum, IntVec w, IntVec x) {
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)w, (__m512bh)x);
  }
  static Vec Finish(Acc sum, const float*, float) { return sum; }
};

/// Rounded to nearest, ties to even; NaN stays NaN.
inline void RoundBlock(const float* source, int64_t count, uint8_t* target, BlockScale*) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const bool full = i + kLanes <= count;
    const Vec v = full ? Load(source + i) : LoadPartial(source + i, count - i);
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
    const int64_t rest = CeilDiv((count - i) * 2, kGroupBytes) * kGroupBytes;
    std::memcpy(target + i * 2, &rounded, full ? sizeof rounded : static_cast<size_t>(rest));
  }
}

}  // namespace
}  // namespace blockrank
