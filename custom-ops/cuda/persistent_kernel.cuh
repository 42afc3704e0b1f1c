// The GEMM of gemm_kernel.cuh for many tiles, on sm_90a: one block a multiprocessor walks over tiles of 128
// tokens × N rows of weights. One warp feeds a ring of stages without end; two warpgroups multiply.
//
//   N = 128  the warpgroups take the tiles in turn: one multiplies while the other stores. For a short k.
//   N = 256  they share each tile: fewer bytes from L2 and shared memory for an operation. For a long k.
//
// The blocks of a cluster work on neighbouring tiles of tokens and the same rows of weights: each loads its
// share of the weights and the copy engine hands it to all. Alone, a 128 × 128 tile asks L2 for 64 bytes a
// clock and multiprocessor, and L2 gives about 40 (measured on an H200).
#pragma once

#include "gemm_kernel.cuh"

namespace blockrank::cuda {

constexpr int kPersistentM = 128, kPersistentThreads = 3 * 128;

template <int N>
struct PersistentShape {
  static constexpr bool kInTurn = N == 128;
  static constexpr int kStages = kInTurn ? 5 : 4;
  static constexpr int kStageBytes = (kPersistentM + N) * kTileRowBytes;
  static constexpr int kRows = kInTurn ? 128 : 64;  // of a warpgroup
  static constexpr int kReaders = kInTurn ? 4 : 8;  // warps of a block that read a stage
  static constexpr int kStagedBytes = kRows * 256;  // of a warpgroup: 128 rounded columns, or 64 of float32
  static constexpr int kSharedBytes = kStages * kStageBytes + 2 * kStagedBytes + 1024;
};

// The tiles of one block, in order: m fastest, then n, then batch, then part. A part is a range of tokens:
// where C is larger than L2, the kernel that follows finds the last part there.
template <int N, int kCluster>
struct PersistentTiles {
  int m_groups, part_groups, n_tiles, part_tiles, first, step, count;

  __device__ PersistentTiles(int64_t tokens, int n, int batches, int parts)
      : m_groups(static_cast<int>((tokens + kPersistentM * kCluster - 1) / (kPersistentM * kCluster))),
        part_groups((m_groups + parts - 1) / parts),
        n_tiles((n + N - 1) / N),
        part_tiles(part_groups * n_tiles * batches),
        first(blockIdx.x / kCluster),
        step(gridDim.x / kCluster),
        count((m_groups * n_tiles * batches - first + step - 1) / step) {}
};
struct PersistentTile {
  int64_t m0;
  int n0, batch;

  template <int N, int kCluster>
  __device__ PersistentTile(const PersistentTiles<N, kCluster>& tiles, int index) {
    const int all = tiles.first + index * tiles.step, part = all / tiles.part_tiles,
              tile = all - part * tiles.part_tiles, m_first = part * tiles.part_groups,
              m_count = min(tiles.part_groups, tiles.m_groups - m_first), rest = tile / m_count;
    m0 = (static_cast<int64_t>(m_first + tile % m_count) * kCluster + ClusterRank()) * kPersistentM;
    n0 = rest % tiles.n_tiles * N;
    batch = rest / tiles.n_tiles;
  }
};

// A place in the ring, and the parity of the phase in which it is full.
template <int kStages>
struct RingPlace {
  int stage = 0, parity = 0;
  __device__ __forceinline__ void Advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
  __device__ __forceinline__ void Skip(int steps) {
    const int place = stage + steps;
    parity ^= place / kStages & 1;
    stage = place % kStages;
  }
};

// Chunk (16 bytes) of a staged row of 256 bytes, so that the writes of accumulators and the reads of rows
// touch all banks.
__device__ __forceinline__ uint32_t StagedChunk(int row, int chunk) {
  return row * 256 + ((chunk ^ (row & 7)) << 4);
}

// Piece kPiece of a warpgroup's sums to its staging: 128 columns, rounded.
template <class T, int kPiece, int kMI, int kNI>
__device__ __forceinline__ void StageRounded(const float (&acc)[kMI][kNI][4], uint32_t staged) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, row0 = threadIdx.x % 128 / 32 * 16 + g;
#pragma unroll
  for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int ni = 0; ni < 16; ++ni) {
        const float* v = &acc[mi][kPiece * 16 + ni][half * 2];
        asm volatile(
            "st.shared.b32 [%0], %1;" ::"r"(staged + StagedChunk(row0 + mi * 64 + half * 8, ni) + t * 4),
            "r"(Pack2<T>(v[0], v[1]))
            : "memory");
      }
}

// 64 columns in float32.
template <int kPiece, int kMI, int kNI>
__device__ __forceinline__ void StageFloats(const float (&acc)[kMI][kNI][4], uint32_t staged) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, row0 = threadIdx.x % 128 / 32 * 16 + g;
#pragma unroll
  for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int ni = 0; ni < 8; ++ni) {
        const float* v = &acc[mi][kPiece * 8 + ni][half * 2];
        asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(
                         staged + StagedChunk(row0 + mi * 64 + half * 8, 2 * ni + t / 2) + t % 2 * 8),
                     "f"(v[0]), "f"(v[1])
                     : "memory");
      }
}

// `rows` rows of C from m0 on: the 128 columns from n0 on that are staged, already rounded.
template <class T>
__device__ __forceinline__ void StoreRounded(const GemmParams<T>& p, uint32_t staged, int batch, int64_t m0,
                                             int rows, int n0, int n_valid) {
  const int thread = threadIdx.x % 128, chunk = thread % 16, first = thread / 16, n = n0 + chunk * 8;
  if (n >= n_valid) return;
  T* c = p.c + batch * p.c_batch + n / p.c_group * p.c_group_stride + n % p.c_group + (m0 + first) * p.c_row;
#pragma unroll 8
  for (int row = first; row < rows; row += 8, c += 8 * p.c_row)
    *reinterpret_cast<uint4*>(c) = LoadShared16(staged + StagedChunk(row, chunk));
}

// Bias, activation, rounding and the stores of 64 staged columns.
template <class T>
__device__ __forceinline__ void StoreFloats(const GemmParams<T>& p, uint32_t staged, int batch, int64_t m0,
                                            int rows, int n0, int n_valid) {
  const int thread = threadIdx.x % 128, chunk = thread % 8, n = n0 + chunk * 8;
  if (n >= n_valid) return;
  const OutputColumns<T> columns(p, batch, n, n_valid);
#pragma unroll 1
  for (int row = thread / 8; row < rows; row += 16) {
    const uint4 low = LoadShared16(staged + StagedChunk(row, 2 * chunk)),
                high = LoadShared16(staged + StagedChunk(row, 2 * chunk + 1));
    float v[8] = {__uint_as_float(low.x),  __uint_as_float(low.y),  __uint_as_float(low.z),
                  __uint_as_float(low.w),  __uint_as_float(high.x), __uint_as_float(high.y),
                  __uint_as_float(high.z), __uint_as_float(high.w)};
    columns.template Store<true>(p, v, m0 + row);
  }
}

__device__ __forceinline__ void WarpgroupBarrier() {
  asm volatile("bar.sync %0, 128;" ::"r"(1 + static_cast<int>(threadIdx.x) / 128) : "memory");
}

// A warpgroup's rows of a tile, piece by piece through its staging. Only the epilogue's loop over pieces is
// rolled, so that its code exists once.
template <class T, int N, int kMI, int kNI>
__device__ __forceinline__ void StoreRows(const GemmParams<T>& p, const float (&acc)[kMI][kNI][4],
                                          uint32_t staged, const PersistentTile& tile, int64_t m0) {
  const int n_valid = min(p.n, (p.n_total - tile.batch * p.n_step + p.n_stride - 1) / p.n_stride);
  const int rows = static_cast<int>(min(p.tokens - m0, static_cast<int64_t>(kMI * 64)));
  if (p.vector_store &&
      (!p.is_output || (p.epilogue.bias == nullptr && p.epilogue.activation == BLOCKRANK_CUDA_NONE))) {
#pragma unroll
    for (int piece = 0; piece < N / 128; ++piece) {
      WarpgroupBarrier();  // the piece before has left the staging
      if (piece == 0) StageRounded<T, 0>(acc, staged);
      if (piece == 1) StageRounded<T, N / 128 - 1>(acc, staged);
      WarpgroupBarrier();
      StoreRounded(p, staged, tile.batch, m0, rows, tile.n0 + piece * 128, n_valid);
    }
    return;
  }
#pragma unroll 1
  for (int piece = 0; piece < N / 64; ++piece) {
    WarpgroupBarrier();
    if (piece == 0) StageFloats<0>(acc, staged);
    if (piece == 1) StageFloats<1>(acc, staged);
    if (piece == 2) StageFloats<N / 64 - 2>(acc, staged);
    if (piece == 3) StageFloats<N / 64 - 1>(acc, staged);
    WarpgroupBarrier();
    StoreFloats<T>(p, staged, tile.batch, m0, rows, tile.n0 + piece * 64, n_valid);
  }
}

// Feeds the ring with the tiles of the block, one after the other; one thread. Each block of the cluster
// brings its own inputs and its share of the weights, for all of them.
template <class T, int N, int kCluster>
__device__ __forceinline__ void FeedTiles(const GemmParams<T>& p, const PersistentTiles<N, kCluster>& tiles,
                                          int steps, uint32_t stages, uint32_t full, uint32_t empty) {
  using Shape = PersistentShape<N>;
  constexpr int kShare = N / kCluster;
  const int share0 = ClusterRank() * kShare;
  const auto weights = [&](const PersistentTile& at, int step, int stage) {
    const int n0 = at.n0 + share0;
    CopyBoxToCluster<kCluster>(stages + stage * Shape::kStageBytes + (kPersistentM + share0) * kTileRowBytes,
                               p.b_map, step * kTileK, p.b_batch_last ? n0 : at.batch,
                               p.b_batch_last ? at.batch : n0, full + stage * 8);
  };
  const auto inputs = [&](const PersistentTile& at, int step, int stage) {
    CopyBox(stages + stage * Shape::kStageBytes, p.a_map, step * kTileK, at.batch, static_cast<int>(at.m0),
            full + stage * 8);
  };
  // The first stages of the first tile: weights before the previous kernel has ended.
  const int early = tiles.count > 0 ? min(steps, Shape::kStages) : 0;
  const PersistentTile first(tiles, 0);
  for (int step = 0; step < early; ++step) {
    BarrierExpect(full + step * 8, Shape::kStageBytes);
    weights(first, step, step);
  }
  WaitForPreviousKernel();
  for (int step = 0; step < early; ++step) inputs(first, step, step);

  RingPlace<Shape::kStages> at;
  at.Skip(early);
  bool used = early == Shape::kStages;  // the stages have been read before
  for (int index = 0; index < tiles.count; ++index) {
    const PersistentTile tile(tiles, index);
    for (int step = index == 0 ? early : 0; step < steps; ++step) {
      if (used) BarrierWait(empty + at.stage * 8, at.parity ^ 1);
      BarrierExpect(full + at.stage * 8, Shape::kStageBytes);
      weights(tile, step, at.stage);
      inputs(tile, step, at.stage);
      at.Advance();
      used = used || at.stage == 0;
    }
  }
}

// A warpgroup's tiles: products, then stores.
template <class T, int N, int kCluster>
__device__ __forceinline__ void MultiplyTiles(const GemmParams<T>& p,
                                              const PersistentTiles<N, kCluster>& tiles, int steps,
                                              uint32_t stages, uint32_t full, uint32_t empty) {
  using Shape = PersistentShape<N>;
  constexpr int kMI = Shape::kRows / 64, kTurns = Shape::kInTurn ? 2 : 1;
  const int group = threadIdx.x / 128, row0 = Shape::kInTurn ? 0 : group * 64;
  const uint32_t staged = stages + Shape::kStages * Shape::kStageBytes + group * Shape::kStagedBytes;
  const bool speaks = threadIdx.x % 32 < kCluster;  // a lane for each block of the cluster
  const uint32_t empty_there = ClusterAddress(empty, threadIdx.x % 32 % kCluster);
  const auto release = [&](int stage) {
    if (speaks) BarrierArriveCluster(empty_there + stage * 8);
  };
  RingPlace<Shape::kStages> at;
  const int first = Shape::kInTurn ? group : 0;
  at.Skip(first * steps);
  for (int index = first; index < tiles.count; index += kTurns) {
    float acc[kMI][N / 8][4];
#pragma unroll
    for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
      for (int ni = 0; ni < N / 8; ++ni)
#pragma unroll
        for (int e = 0; e < 4; ++e) acc[mi][ni][e] = 0.0f;
    // In turn, the tensor cores belong to one warpgroup at a time.
    if (Shape::kInTurn && index > 0) asm volatile("bar.sync %0, 256;" ::"r"(3 + group) : "memory");
    int unreleased = -1;  // the stage of the step before, still being read
    for (int step = 0; step < steps; ++step, at.Advance()) {
      BarrierWait(full + at.stage * 8, at.parity);
      const uint32_t a = stages + at.stage * Shape::kStageBytes;
      const uint64_t a_desc = WgmmaDescriptor(a + row0 * kTileRowBytes),
                     b_desc = WgmmaDescriptor(a + kPersistentM * kTileRowBytes);
      WgmmaFence();
#pragma unroll
      for (int k = 0; k < kTileK / 16; ++k)
#pragma unroll
        for (int mi = 0; mi < kMI; ++mi)
          Wgmma<T, N>::Issue(acc[mi], a_desc + mi * (64 * kTileRowBytes >> 4) + 2 * k, b_desc + 2 * k);
      WgmmaCommit();
      WgmmaWait<1>();
      if (unreleased >= 0) release(unreleased);
      unreleased = at.stage;
    }
    if (Shape::kInTurn && index + 1 < tiles.count)
      asm volatile("bar.arrive %0, 256;" ::"r"(3 + (group ^ 1)) : "memory");
    WgmmaWait<0>();
    release(unreleased);
    if (Shape::kInTurn) at.Skip(steps);
    if (index == first) WaitForPreviousKernel();  // it may still read C, or write the bias
    const PersistentTile tile(tiles, index);
    StoreRows<T, N>(p, acc, staged, tile, tile.m0 + row0);
  }
}

// Grid: clusters of kCluster blocks, as many as fit. Dynamic shared memory: PersistentShape<N>::kSharedBytes.
template <class T, int N, int kCluster>
__global__ void __launch_bounds__(kPersistentThreads, 1)
    PersistentGemmKernel(const __grid_constant__ GemmParams<T> p) {
#if defined(BLOCKRANK_HAS_WGMMA)
  using Shape = PersistentShape<N>;
  extern __shared__ uint8_t shared_bytes[];
  __shared__ __align__(8) uint64_t barriers[2 * Shape::kStages];
  const uint32_t stages = (SharedAddress(shared_bytes) + 1023) & ~1023u, full = SharedAddress(barriers),
                 empty = full + Shape::kStages * 8;
  if (threadIdx.x == 256) {
    PrefetchMap(p.b_map);
    PrefetchMap(p.a_map);
  }
  if (threadIdx.x == 0) {
    for (int s = 0; s < Shape::kStages; ++s) {
      BarrierInit(full + s * 8, 1);
      BarrierInit(empty + s * 8, Shape::kReaders * kCluster);
    }
    BarrierInitFence();
  }
  ReleaseNextKernel();
  ClusterArrive();
  ClusterWait();
  __syncthreads();

  const PersistentTiles<N, kCluster> tiles(p.tokens, p.n, p.batches, p.parts);
  const int steps = (p.k + kTileK - 1) / kTileK;
  if (threadIdx.x >= 256) {
    SetRegisters<40, false>();
    if (threadIdx.x == 256) FeedTiles<T>(p, tiles, steps, stages, full, empty);
    __syncwarp();
  } else {
    SetRegisters<232, true>();
    MultiplyTiles<T>(p, tiles, steps, stages, full, empty);
  }
  ClusterArrive();
  ClusterWait();  // no block leaves while another may still signal it
#endif
}

}  // namespace blockrank::cuda
