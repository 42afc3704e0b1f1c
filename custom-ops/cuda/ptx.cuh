// One documented device function per PTX instruction that CUDA C++ has no name for.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

// wgmma exists in code built for sm_90a alone; clusters and programmatic launch from sm_90 on.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define BLOCKRANK_HAS_WGMMA 1
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define BLOCKRANK_HAS_CLUSTERS 1
#endif

namespace blockrank::cuda {

__device__ __forceinline__ uint32_t SharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// 16 bytes from global to shared memory past L1; zeros where `valid` is false (the address is then not read).
__device__ __forceinline__ void CopyAsync16(uint32_t shared, const void* global, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void CopyAsyncCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void CopyAsyncWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// A plain 16-byte load that the compiler may not move across the waits below: for data that another kernel
// writes.
__device__ __forceinline__ uint4 Load16(const void* p) {
  uint4 v;
  asm volatile("ld.global.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p)
               : "memory");
  return v;
}
// The same, or zeros: without the branches that a conditional load costs.
__device__ __forceinline__ uint4 Load16If(bool valid, const void* p) {
  uint4 v;
  asm volatile(
      "{\n.reg .pred valid;\nsetp.ne.u32 valid, %5, 0;\nmov.b32 %0, 0;\nmov.b32 %1, 0;\nmov.b32 %2, 0;\n"
      "mov.b32 %3, 0;\n@valid ld.global.v4.u32 {%0,%1,%2,%3}, [%4];\n}"
      : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w)
      : "l"(p), "r"(static_cast<uint32_t>(valid))
      : "memory");
  return v;
}
// A 16-byte load of factors: read once per launch, so it need not stay in L1.
__device__ __forceinline__ uint4 LoadFactor16(const void* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
__device__ __forceinline__ void PrefetchL2(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

// Four 8×8 matrices of 16-bit elements; lane l gives the row address of matrix l / 8, row l % 8.
__device__ __forceinline__ void LoadMatrix4(uint32_t (&r)[4], uint32_t shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared)
               : "memory");
}
__device__ __forceinline__ void LoadMatrix4Transposed(uint32_t (&r)[4], uint32_t shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared)
               : "memory");
}

// d [16×8] += a [16×16] · b [16×8] with float32 accumulation.
template <class T>
__device__ __forceinline__ void Mma16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ __forceinline__ void Mma16x8x16<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                   uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void Mma16x8x16<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                          uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Programmatic dependent launch. Wait: the kernels before this one in the stream are complete and their
// writes visible. Release: the next kernel may be scheduled once every block here has said so (it still waits
// before it reads).
__device__ __forceinline__ void WaitForPreviousKernel() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void ReleaseNextKernel() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Thread-block clusters; a launch without one is a cluster of one.
__device__ __forceinline__ int ClusterRank() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return 0;
#endif
}
__device__ __forceinline__ int ClusterSize() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  int size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#else
  return 1;
#endif
}
__device__ __forceinline__ void ClusterArrive() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void ClusterWait() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
  __syncthreads();
#endif
}
// The address that `shared` of this block has in cluster member `rank`, and a 16-byte store to such an
// address.
__device__ __forceinline__ uint32_t ClusterAddress(uint32_t shared, int rank) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  uint32_t remote;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared), "r"(rank));
  return remote;
#else
  return shared;
#endif
}
__device__ __forceinline__ void StoreCluster16(uint32_t address, const uint32_t (&v)[4]) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("st.shared::cluster.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(v[0]), "r"(v[1]),
               "r"(v[2]), "r"(v[3])
               : "memory");
#else
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(v[0]), "r"(v[1]), "r"(v[2]),
               "r"(v[3])
               : "memory");
#endif
}

__device__ __forceinline__ float LoadCluster(uint32_t address) {
  float v;
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v) : "r"(address) : "memory");
#else
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address) : "memory");
#endif
  return v;
}

// 8 floats at 16 aligned bytes of shared memory: of this block, and of any block of the cluster.
__device__ __forceinline__ void LoadFloats8(float (&v)[8], uint32_t shared) {
#pragma unroll
  for (int half = 0; half < 2; ++half)
    asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(v[half * 4]), "=f"(v[half * 4 + 1]), "=f"(v[half * 4 + 2]), "=f"(v[half * 4 + 3])
                 : "r"(shared + half * 16)
                 : "memory");
}
__device__ __forceinline__ void LoadClusterFloats8(float (&v)[8], uint32_t address) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
#pragma unroll
  for (int half = 0; half < 2; ++half)
    asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];"
                 : "=f"(v[half * 4]), "=f"(v[half * 4 + 1]), "=f"(v[half * 4 + 2]), "=f"(v[half * 4 + 3])
                 : "r"(address + half * 16)
                 : "memory");
#else
  LoadFloats8(v, address);
#endif
}

// Transposes the 4 × 4 words of four neighbouring lanes: word k of lane t becomes word t of lane k.
__device__ __forceinline__ void TransposeQuad(uint32_t (&v)[4]) {
  const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
#pragma unroll
  for (int k = 0; k < 4; k += 2) {
    const uint32_t got = __shfl_xor_sync(0xFFFFFFFFu, odd ? v[k] : v[k + 1], 1);
    if (odd) v[k] = got;
    if (!odd) v[k + 1] = got;
  }
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const uint32_t got = __shfl_xor_sync(0xFFFFFFFFu, upper ? v[k] : v[k + 2], 2);
    if (upper) v[k] = got;
    if (!upper) v[k + 2] = got;
  }
}

__device__ __forceinline__ void StoreShared16(uint32_t shared, uint4 v) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(shared), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
}
__device__ __forceinline__ uint4 LoadShared16(uint32_t shared) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(shared)
               : "memory");
  return v;
}

}  // namespace blockrank::cuda
