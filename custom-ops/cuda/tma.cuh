// The bulk tensor copy engine (TMA) of sm_90: barriers in shared memory that count bytes, and the copy of a
// box.
#pragma once

#include <cuda.h>

#include "ptx.cuh"

namespace blockrank::cuda {

// An operand as (k, batch, row) or (k, row, batch) with 64 × rows boxes in the 128-byte swizzle; coordinates
// beyond an extent read as zeros, which is what ends a block of columns or rows.
struct TensorMap {
  CUtensorMap map;
};

__device__ __forceinline__ void BarrierInit(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void BarrierInitFence() {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}
__device__ __forceinline__ void BarrierArrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives and announces the bytes that copies will bring.
__device__ __forceinline__ void BarrierExpect(uint32_t barrier, int bytes) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
#endif
}
// Until the phase of that parity is complete.
__device__ __forceinline__ void BarrierWait(uint32_t barrier, int parity) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile(
      "{\n.reg .pred done;\nWAIT_%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra WAIT_%=;\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
#endif
}

// The map itself comes from memory too.
__device__ __forceinline__ void PrefetchMap(const TensorMap& map) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
#endif
}
__device__ __forceinline__ void CopyBox(uint32_t shared, const TensorMap& map, int x, int y, int z,
                                        uint32_t barrier) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, "
      "%5}], [%2];" ::"r"(shared),
      "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z)
      : "memory");
#endif
}

// The same for all blocks of a cluster of kBlocks: to this offset of each one's shared memory, counted by
// each one's barrier.
template <int kBlocks>
__device__ __forceinline__ void CopyBoxToCluster(uint32_t shared, const TensorMap& map, int x, int y, int z,
                                                 uint32_t barrier) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  if constexpr (kBlocks == 1) {
    CopyBox(shared, map, x, y, z, barrier);
  } else {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], "
        "[%1, {%3, %4, %5}], [%2], %6;" ::"r"(shared),
        "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z), "h"(static_cast<uint16_t>((1 << kBlocks) - 1))
        : "memory");
  }
#endif
}
// Arrives at a barrier of any block of the cluster (a ClusterAddress): to say that the tensor cores have read
// a stage, which needs no ordering beyond the block's. (Release at the cluster's scope waits for all stores
// of the thread: measured to cost 1000 clocks a step.)
__device__ __forceinline__ void BarrierArriveCluster(uint32_t barrier) {
#if defined(BLOCKRANK_HAS_CLUSTERS)
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(barrier) : "memory");
#endif
}

}  // namespace blockrank::cuda
