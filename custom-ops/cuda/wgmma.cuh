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

// Registers of the calling warpgroup: more than the kernel was launched with, or fewer, so that others can
// have them.
template <int kCount, bool kMore>
__device__ __forceinline__ void SetRegisters() {
#if defined(BLOCKRANK_HAS_WGMMA)
  if constexpr (kMore) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
  }
#endif
}

// Matrix descriptor of a K-major tile whose rows are 128 bytes with the 128-byte swizzle: groups of 8 rows
// lie 1024 bytes apart. Advancing 16 elements of k adds 32 bytes (2 units) to the address.
__device__ __forceinline__ uint64_t WgmmaDescriptor(uint32_t shared) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62, kRowGroup = uint64_t{1024 >> 4} << 32,
                     kUnused = uint64_t{1} << 16;
  return kSwizzle128 | kRowGroup | kUnused | ((shared & 0x3FFFF) >> 4);
}

// Wgmma<T, N>::Issue(d, a, b) for T = half, bfloat16 and N = 32, 64, 128, 256: one instruction, which differs
// only in its name and its number of registers.
template <class T, int N>
struct Wgmma;

#define BLOCKRANK_WGMMA(T, TYPE, N, REGISTERS, A, B, ...)                                                 \
  template <>                                                                                             \
  struct Wgmma<T, N> {                                                                                    \
    static __device__ __forceinline__ void Issue(float (&d)[N / 8][4], uint64_t a, uint64_t b) {          \
      asm volatile("wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" REGISTERS "}, " A \
                   ", " B ", 1, 1, 1, 0, 0;"                                                              \
                   : __VA_ARGS__                                                                          \
                   : "l"(a), "l"(b));                                                                     \
    }                                                                                                     \
  };
#define BLOCKRANK_D1(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define BLOCKRANK_D4(n) BLOCKRANK_D1(n), BLOCKRANK_D1(n + 1), BLOCKRANK_D1(n + 2), BLOCKRANK_D1(n + 3)
#define BLOCKRANK_D8(n) BLOCKRANK_D4(n), BLOCKRANK_D4(n + 4)
#define BLOCKRANK_D16(n) BLOCKRANK_D8(n), BLOCKRANK_D8(n + 8)
#define BLOCKRANK_D32(n) BLOCKRANK_D16(n), BLOCKRANK_D16(n + 16)
#define BLOCKRANK_R16 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define BLOCKRANK_R32 BLOCKRANK_R16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define BLOCKRANK_R64                                                                                 \
  BLOCKRANK_R32                                                                                       \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55," \
  "%56,%57,%58,%59,%60,%61,%62,%63"
#define BLOCKRANK_R128                                                                                 \
  BLOCKRANK_R64                                                                                        \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,"  \
  "%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109," \
  "%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

BLOCKRANK_WGMMA(__half, "f16", 32, BLOCKRANK_R16, "%16", "%17", BLOCKRANK_D4(0))
BLOCKRANK_WGMMA(__half, "f16", 64, BLOCKRANK_R32, "%32", "%33", BLOCKRANK_D8(0))
BLOCKRANK_WGMMA(__half, "f16", 128, BLOCKRANK_R64, "%64", "%65", BLOCKRANK_D16(0))
BLOCKRANK_WGMMA(__half, "f16", 256, BLOCKRANK_R128, "%128", "%129", BLOCKRANK_D32(0))
BLOCKRANK_WGMMA(__nv_bfloat16, "bf16", 256, BLOCKRANK_R128, "%128", "%129", BLOCKRANK_D32(0))
BLOCKRANK_WGMMA(__nv_bfloat16, "bf16", 32, BLOCKRANK_R16, "%16", "%17", BLOCKRANK_D4(0))
BLOCKRANK_WGMMA(__nv_bfloat16, "bf16", 64, BLOCKRANK_R32, "%32", "%33", BLOCKRANK_D8(0))
BLOCKRANK_WGMMA(__nv_bfloat16, "bf16", 128, BLOCKRANK_R64, "%64", "%65", BLOCKRANK_D16(0))

#undef BLOCKRANK_WGMMA
#undef BLOCKRANK_D1
#undef BLOCKRANK_D4
#undef BLOCKRANK_D8
#undef BLOCKRANK_D16
#undef BLOCKRANK_D32
#undef BLOCKRANK_R16
#undef BLOCKRANK_R32
#undef BLOCKRANK_R64
#undef BLOCKRANK_R128

}  // namespace blockrank::cuda
