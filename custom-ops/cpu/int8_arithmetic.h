// int8 arithmetic: exact integer dot products of 4-byte groups, and the symmetric quantization of a block.
//
// Every instruction set gives the same bits: integers are exact, and the float steps below are single IEEE
// operations in a fixed order, which is why files that include this are compiled with -ffp-contract=off.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <limits>

#include "cpu/packed_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

typedef int16_t PairVec __attribute__((vector_size(kLanes * 4)));
typedef int8_t NarrowVec __attribute__((vector_size(kLanes)));

#if defined(__AVX512VNNI__)
constexpr uint8_t kWeightFlip = 0x80;
inline IntVec Dot4(IntVec sum, IntVec w, IntVec x) {
  return (IntVec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
}
#elif defined(__AVXVNNI__)
constexpr uint8_t kWeightFlip = 0x80;
inline IntVec Dot4(IntVec sum, IntVec w, IntVec x) {
  return (IntVec)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
}
#elif defined(__AVX2__)
// |w| · (x with w's sign): pairs sum to at most 2·128·127 = 32512, so maddubs does not saturate.
constexpr uint8_t kWeightFlip = 0;
inline IntVec Dot4(IntVec sum, IntVec w, IntVec x) {
  const __m256i signed_x = _mm256_sign_epi8((__m256i)x, (__m256i)w);
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), signed_x);
  return sum + (IntVec)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
// Even and odd bytes as int16: two products sum to at most 32512.
constexpr uint8_t kWeightFlip = 0;
inline IntVec Dot4(IntVec sum, IntVec w, IntVec x) {
  const PairVec w_even = ((PairVec)w << 8) >> 8, w_odd = (PairVec)w >> 8;
  const PairVec x_even = ((PairVec)x << 8) >> 8, x_odd = (PairVec)x >> 8;
  const IntVec pairs = (IntVec)(w_even * x_even + w_odd * x_odd);
  return sum + ((pairs << 16) >> 16) + (pairs >> 16);
}
#endif

struct Int8Arithmetic {
  using Acc = IntVec;
  static Acc Start(const BlockScale& scale) { return BroadcastInt(kWeightFlip != 0 ? scale.offset : 0); }
  static Acc Dot(Acc sum, IntVec w, IntVec x) { return Dot4(sum, w, x); }
  static Vec Finish(Acc sum, const float* row_scale, float scale) {
    return __builtin_convertvector(sum, Vec) * Load(row_scale) * scale;
  }
};

/// Nearest integers, ties to even, of |v| ≤ 2²².
inline IntVec RoundToInt(Vec v) {
  const Vec magic = Broadcast(0x1.8p23f);
  return (IntVec)(v + magic) - (IntVec)magic;
}

template <int kDistance, int... kLane>
inline IntVec Rotate(IntVec v, Indices<kLane...>) {
  return __builtin_shufflevector(v, v, (kLane ^ kDistance)...);
}

/// One vector of lanes combined pairwise: `combine` of all lanes, in every lane.
template <class Combine>
inline int32_t Reduce(IntVec v, Combine&& combine) {
  if constexpr (kLanes > 8) v = combine(v, Rotate<8>(v, AllLanes()));
  if constexpr (kLanes > 4) v = combine(v, Rotate<4>(v, AllLanes()));
  v = combine(v, Rotate<2>(v, AllLanes()));
  return combine(v, Rotate<1>(v, AllLanes()))[0];
}

inline IntVec Larger(IntVec a, IntVec b) { return a > b ? a : b; }

/// The bits of max|source|, which order as the values do, infinity and NaN last.
inline int32_t LargestBits(const float* source, int64_t count) {
  const IntVec magnitude = BroadcastInt(0x7fffffff);
  IntVec largest = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const IntVec bits = (IntVec)Load(source + i) & magnitude;
    largest = Larger(bits, largest);
  }
  if (i < count) {
    const IntVec bits = (IntVec)LoadPartial(source + i, count - i) & magnitude;
    largest = Larger(bits, largest);
  }
  return Reduce(largest, Larger);
}

/// q = round(x · (127 / max|x|)), scale = max|x| / 127. Blocks below 2⁻¹²⁰ count as zeros; a block with an
/// infinity or NaN gets the scale NaN, which makes everything computed from it NaN.
inline void QuantizeBlock(const float* source, int64_t count, uint8_t* target, BlockScale* result) {
  constexpr int32_t kInfinityBits = 0x7f800000, kLeastBits = 7 << 23;  // 2⁻¹²⁰
  const int32_t bits = LargestBits(source, count);
  if (bits >= kInfinityBits || bits < kLeastBits) {
    *result = {bits >= kInfinityBits ? std::numeric_limits<float>::quiet_NaN() : 0.0f, 0};
    std::memset(target, 0, static_cast<size_t>(CeilDiv(count, kGroupBytes) * kGroupBytes));
    return;
  }
  float largest;
  std::memcpy(&largest, &bits, sizeof largest);
  const float inverse = 127.0f / largest;
  IntVec total = {};
  const auto narrow = [&](Vec x) {
    const IntVec q = RoundToInt(x * inverse);
    total += q;
    return __builtin_convertvector(q, NarrowVec);
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const NarrowVec bytes = narrow(Load(source + i));
    std::memcpy(target + i, &bytes, sizeof bytes);
  }
  if (i < count) {
    const NarrowVec bytes = narrow(LoadPartial(source + i, count - i));
    const int64_t rest = CeilDiv(count - i, kGroupBytes) * kGroupBytes;
    std::memcpy(target + i, &bytes, static_cast<size_t>(rest));
  }
  *result = {largest / 127.0f, -128 * Reduce(total, [](IntVec a, IntVec b) { return a + b; })};
}

}  // namespace
}  // namespace blockrank
