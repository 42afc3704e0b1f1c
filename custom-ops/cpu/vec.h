// One vector of kLanes floats, its loads from the four factor types, and the shuffles built on it.
// Written on the compilers' vector extensions, so one source serves AVX-512, AVX2 and, at 4 lanes, SSE or
// NEON. Everything is in an unnamed namespace: each ISA's file has its own copy, which the linker must not
// merge.
#pragma once

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "core/convert.h"
#include "core/dtype.h"

namespace blockrank {
namespace {

constexpr int kLanes = BLOCKRANK_LANES;

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t UintVec __attribute__((vector_size(kLanes * 4)));
typedef uint16_t ShortVec __attribute__((vector_size(kLanes * 2)));
typedef int8_t CharVec __attribute__((vector_size(kLanes)));

// Not Vec{} + value: that is an addition, since it makes +0 of −0.
inline Vec Broadcast(float value) { return value - Vec{}; }
inline IntVec BroadcastInt(int32_t value) { return IntVec{} + value; }

inline Vec Load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline ShortVec LoadShorts(const void* p) {
  ShortVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline CharVec LoadChars(const void* p) {
  CharVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// GCC 12 takes the generic conversion from 8 bits apart number by number.
inline Vec Load(const int8_t* p) {
#if defined(__AVX512F__)
  const IntVec wide = (IntVec)_mm512_maskz_cvtepi8_epi32(0xffff, (__m128i)LoadChars(p));
#elif defined(__AVX2__)
  long long bits;
  std::memcpy(&bits, p, sizeof bits);
  const IntVec wide = (IntVec)_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(bits));
#else
  const IntVec wide = __builtin_convertvector(LoadChars(p), IntVec);
#endif
  return __builtin_convertvector(wide, Vec);
}

inline Vec Load(const BFloat16* p) { return (Vec)(__builtin_convertvector(LoadShorts(p), UintVec) << 16); }

#if defined(__AVX512F__)
// The zero-masked forms: GCC 12 warns about the undefined source operand of the plain ones.
inline Vec Load(const Half* p) { return (Vec)_mm512_maskz_cvtph_ps(0xffff, (__m256i)LoadShorts(p)); }
inline void StoreHalf(Half* p, Vec v) {
  const __m256i h = _mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  std::memcpy(p, &h, sizeof h);
}
#elif defined(__F16C__)
inline Vec Load(const Half* p) { return (Vec)_mm256_cvtph_ps((__m128i)LoadShorts(p)); }
inline void StoreHalf(Half* p, Vec v) {
  const __m128i h = _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  std::memcpy(p, &h, sizeof h);
}
#else
// The exponent is rebiased by a multiplication, which also normalises denormals; infinity and NaN are put
// back after it.
inline Vec Load(const Half* p) {
  const UintVec bits = __builtin_convertvector(LoadShorts(p), UintVec);
  const UintVec magnitude = (bits & 0x7fff) << 13;
  const UintVec special = (UintVec)(magnitude >= 0x0f800000) & 0x7f800000;
  const Vec value = (Vec)magnitude * 0x1p112f;
  return (Vec)((UintVec)value | special | ((bits & 0x8000) << 16));
}
inline void StoreHalf(Half* p, Vec v) {
  for (int i = 0; i < kLanes; ++i) p[i] = ToHalf(v[i]);
}
#endif

inline void Store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
inline void Store(Half* p, Vec v) { StoreHalf(p, v); }

/// The first `count` < kLanes values, zeros after them; reads no further.
template <class T>
inline Vec LoadPartial(const T* p, int64_t count) {
  T buffer[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) buffer[i] = p[i];
  return Load(buffer);
}

template <class T>
inline void StorePartial(T* p, Vec v, int64_t count, int64_t stride) {
  T buffer[kLanes];
  Store(buffer, v);
  for (int64_t i = 0; i < count; ++i) p[i * stride] = buffer[i];
}

template <int... kIndices>
struct Indices {};
template <int kCount, int... kIndices>
struct MakeIndices : MakeIndices<kCount - 1, kCount - 1, kIndices...> {};
template <int... kIndices>
struct MakeIndices<0, kIndices...> {
  using Type = Indices<kIndices...>;
};
using AllLanes = MakeIndices<kLanes>::Type;

// Lane l of the results: the d×d blocks off the diagonal of the two rows (a, b) change places.
template <int kDistance, int... kLane>
inline Vec SwapLow(Vec a, Vec b, Indices<kLane...>) {
  return __builtin_shufflevector(a, b, ((kLane & kDistance) ? kLanes + kLane - kDistance : kLane)...);
}
template <int kDistance, int... kLane>
inline Vec SwapHigh(Vec a, Vec b, Indices<kLane...>) {
  return __builtin_shufflevector(a, b, ((kLane & kDistance) ? kLanes + kLane : kLane + kDistance)...);
}

template <int kDistance>
inline void TransposeStep(Vec* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kDistance) continue;
    const Vec a = rows[i], b = rows[i | kDistance];
    rows[i] = SwapLow<kDistance>(a, b, AllLanes());
    rows[i | kDistance] = SwapHigh<kDistance>(a, b, AllLanes());
  }
}

/// Transposes a kLanes × kLanes tile in place.
inline void Transpose(Vec* rows) {
  TransposeStep<1>(rows);
  TransposeStep<2>(rows);
  if constexpr (kLanes > 4) TransposeStep<4>(rows);
  if constexpr (kLanes > 8) TransposeStep<8>(rows);
}

template <int... kLane>
inline IntVec LaneNumbers(Indices<kLane...>) {
  return IntVec{kLane...};
}

/// v with zeros in the first `count` lanes.
inline Vec DropLanes(Vec v, int64_t count) {
  return (Vec)((IntVec)v & (LaneNumbers(AllLanes()) >= static_cast<int32_t>(count)));
}

template <int kDistance, int... kLane>
inline Vec Fold(Vec v, Indices<kLane...>) {
  return v + __builtin_shufflevector(v, v, (kLane ^ kDistance)...);
}

inline float Sum(Vec v) {
  if constexpr (kLanes > 8) v = Fold<8>(v, AllLanes());
  if constexpr (kLanes > 4) v = Fold<4>(v, AllLanes());
  v = Fold<2>(v, AllLanes());
  return Fold<1>(v, AllLanes())[0];
}

template <int kDistance>
inline Vec Merge(Vec a, Vec b) {
  return SwapLow<kDistance>(a, b, AllLanes()) + SwapHigh<kDistance>(a, b, AllLanes());
}

/// target[n] = the sum of v[n]'s lanes, for 1 or 4 vectors. Four are folded together: 13 operations rather
/// than 32.
template <int kCount>
inline void SumRows(const Vec* v, float* target) {
  static_assert(kCount == 1 || kCount == 4);
  if constexpr (kCount == 1) {
    *target = Sum(v[0]);
  } else {
    Vec sums = Merge<2>(Merge<1>(v[0], v[1]), Merge<1>(v[2], v[3]));
    if constexpr (kLanes > 4) sums = Fold<4>(sums, AllLanes());
    if constexpr (kLanes > 8) sums = Fold<8>(sums, AllLanes());
    std::memcpy(target, &sums, 4 * sizeof(float));
  }
}

}  // namespace
}  // namespace blockrank
