// Warpgroup matrix multiply (wgmma, sm_90a): d [64×N] += a [64×16] · b [N×16]ᵀ, both operands in shared
// memory.
#pragma once

#include "ptx.cuh"

namespace blockrank::cuda {

__device__ __forceinline__ void WgmmaFence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void WgmmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void WgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Matrix descriptor of a K-major tile whose rows are 128 bytes with the 128-byte swizzle: groups of 8 rows
// lie 1024 bytes apart. Advancing 16 elements of k adds 32 bytes (2 units) to the address.
__device__ __forceinline__ uint64_t WgmmaDescriptor(uint32_t shared) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62, kRowGroup = uint64_t{1024 >> 4} << 32,
                     kUnused = uint64_t{1} << 16;
  return kSwizzle128 | kRowGroup | kUnused | ((shared & 0x3FFFF) >> 4);
}

#define BLOCKRANK_D1(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define BLOCKRANK_D4(n) BLOCKRANK_D1(n), BLOCKRANK_D1(n + 1), BLOCKRANK_D1(n + 2), BLOCKRANK_D1(n + 3)
#define BLOCKRANK_D8(n) BLOCKRANK_D4(n), BLOCKRANK_D4(n + 4)
#define BLOCKRANK_D16(n) BLOCKRANK_D8(n), BLOCKRANK_D8(n + 8)

template <class T, int N>
struct Wgmma;

template <>
struct Wgmma<__half, 32> {
  static __device__ __forceinline__ void Issue(float (&d)[4][4], uint64_t a, uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "
        "%16, %17, 1, 1, 1, 0, 0;"
        : BLOCKRANK_D4(0)
        : "l"(a), "l"(b));
  }
};
template <>
struct Wgmma<__nv_bfloat16, 32> {
  static __device__ __forceinline__ void Issue(float (&d)[4][4], uint64_t a, uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, "
        "%16, %17, 1, 1, 1, 0, 0;"
        : BLOCKRANK_D4(0)
        : "l"(a), "l"(b));
  }
};
template <>
struct Wgmma<__half, 64> {
  static __device__ __forceinline__ void Issue(float (&d)[8][4], uint64_t a, uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
        "%32, %33, 1, 1, 1, 0, 0;"
        : BLOCKRANK_D8(0)
        : "l"(a), "l"(b));
  }
};
template <>
struct Wgmma<__nv_bfloat16, 64> {
  static __device__ __forceinline__ void Issue(float (&d)[8][4], uint64_t a, uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
        "%32, %33, 1, 1, 1, 0, 0;"
        : BLOCKRANK_D8(0)
        : "l"(a), "l"(b));
  }
};
template <>
struct Wgmma<__half, 128> {
  static __device__ __forceinline__ void Issue(float (&d)[16][4], uint64_t a, uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
        "%64, %65, 1, 1, 1, 0, 0;"
        : BLOCKRANK_D16(0)
        : "l"(a), "l"(b));
  }
};
template <>
struct Wgmma<__nv_bfloat16, 128> {
  static __device__ __forceinline__ void Issue(float (&d)[16][4], uint64_t a, uint64_t b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
        "%64, %65, 1, 1, 1, 0, 0;"
        : BLOCKRANK_D16(0)
        : "l"(a), "l"(b));
  }
};

#undef BLOCKRANK_D1
#undef BLOCKRANK_D4
#undef BLOCKRANK_D8
#undef BLOCKRANK_D16

}  // namespace blockrank::cuda
