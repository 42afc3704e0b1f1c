// The main loops that every tensor-core GEMM here shares: acc [kM × kN] += A [kM × k] · B [kN × k]ᵀ over k in
// tiles of 64, copied into a ring of shared-memory stages: by cp.async for mma.sync, by the copy engine for
// wgmma. Rows of a tile are 128 bytes; the 16-byte chunk c of row i lies at c ^ (i % 8), which is the tensor
// cores' own 128-byte swizzle, so mma.sync and wgmma read the same tiles.
#pragma once

#include "tma.cuh"
#include "wgmma.cuh"

namespace blockrank::cuda {

constexpr int kTileK = 64;
constexpr int kTileRowBytes = 128;

// Copies tiles of kRows rows of one operand; a thread owns one chunk column of every (kThreads / 8)-th row.
// Integer arithmetic is what limits this loop, so a copy costs one 64-bit addition, one comparison and the
// copy.
template <class T, int kRows, int kThreads>
class TileLoader {
 public:
  // `rows` of the kRows rows exist; the others read as zeros.
  __device__ TileLoader(const T* base, int64_t row_stride, int64_t rows)
      : first_(base + static_cast<int64_t>(threadIdx.x / 8) * row_stride + Chunk() * 8),
        step_(kRowStep * row_stride),
        copies_(static_cast<int>(min((rows - threadIdx.x / 8 + kRowStep - 1) / kRowStep, int64_t{kCopies}))),
        offset_(threadIdx.x / 8 * kTileRowBytes + ((Chunk() ^ (threadIdx.x / 8 & 7)) << 4)) {}

  // Tile of columns [column, column + 64), of which the first `columns` exist (a multiple of 8).
  __device__ __forceinline__ void Load(uint32_t tile, int column, int columns) const {
    const int copies = Chunk() * 8 < columns ? copies_ : 0;
    const T* source = first_ + column;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      CopyAsync16(tile + offset_ + i * (kRowStep * kTileRowBytes), source, i < copies);
      source += step_;
    }
  }

 private:
  static constexpr int kRowStep =
      kThreads / 8;  // a multiple of 8: the swizzle of a thread's rows is the same
  static constexpr int kCopies = kRows / kRowStep;
  static_assert(kRows % kRowStep == 0 && kRowStep % 8 == 0);
  static __device__ __forceinline__ int Chunk() { return threadIdx.x % 8; }

  const T* first_;
  int64_t step_;
  int copies_;
  uint32_t offset_;
};

// What both instruction sets share. Accumulator (mi, ni, e) of a lane (g = lane / 4, t = lane % 4) is the
// element row = Row() + 16·mi + g + 8·(e / 2), column = Column() + 8·ni + 2·t + e % 2.
template <int M, int N>
struct TileShape {
  static constexpr int kM = M, kN = N;
  static constexpr int kWarps = M / 16;  // that multiply
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kStageBytes = (M + N) * kTileRowBytes;
};

// mma.sync m16n8k16 with ldmatrix: each warp owns 32 columns.
template <class T, int M, int N>
struct MmaSync : TileShape<M, N> {
  static constexpr bool kAsync = false;
  static constexpr int kBlockThreads = TileShape<M, N>::kThreads;
  static constexpr int kWarpsN = N / 32, kWarpsM = TileShape<M, N>::kWarps / kWarpsN;
  static constexpr int kMI = M / kWarpsM / 16, kNI = 4;
  static_assert(kWarpsM * kMI * 16 == M);

  static __device__ __forceinline__ int Row() { return threadIdx.x / 32 / kWarpsN * (kMI * 16); }
  static __device__ __forceinline__ int Column() { return threadIdx.x / 32 % kWarpsN * 32; }

  static __device__ __forceinline__ void Step(float (&acc)[kMI][kNI][4], uint32_t a, uint32_t b) {
    const int lane = threadIdx.x % 32;
    const int a_row = Row() + (lane & 15), b_row = Column() + (lane & 7) + ((lane >> 4) << 3);
#pragma unroll
    for (int k = 0; k < kTileK / 16; ++k) {
      uint32_t af[kMI][4], bf[kNI / 2][4];
      const int a_chunk = 2 * k + (lane >> 4), b_chunk = 2 * k + ((lane >> 3) & 1);
#pragma unroll
      for (int mi = 0; mi < kMI; ++mi)
        LoadMatrix4(af[mi], a + (a_row + mi * 16) * kTileRowBytes + ((a_chunk ^ (a_row & 7)) << 4));
#pragma unroll
      for (int nj = 0; nj < kNI / 2; ++nj)
        LoadMatrix4(bf[nj], b + (b_row + nj * 16) * kTileRowBytes + ((b_chunk ^ (b_row & 7)) << 4));
#pragma unroll
      for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
        for (int ni = 0; ni < kNI; ++ni)
          Mma16x8x16<T>(acc[mi][ni], af[mi], bf[ni / 2][ni % 2 * 2], bf[ni / 2][ni % 2 * 2 + 1]);
    }
  }
};

// wgmma m64nNk16: each warpgroup owns 64 rows and all columns.
template <class T, int M, int N>
struct MmaWarpgroup : TileShape<M, N> {
  static constexpr bool kAsync = true;
  static constexpr int kBlockThreads = TileShape<M, N>::kThreads + 32;  // and the warp that feeds them
  static constexpr int kMI = 1, kNI = N / 8;
  static_assert(M % 64 == 0);

  static __device__ __forceinline__ int Row() { return threadIdx.x / 32 * 16; }
  static __device__ __forceinline__ int Column() { return 0; }

  static __device__ __forceinline__ void Step(float (&acc)[kMI][kNI][4], uint32_t a, uint32_t b) {
    const uint64_t a_desc = WgmmaDescriptor(a + threadIdx.x / 128 * 64 * kTileRowBytes),
                   b_desc = WgmmaDescriptor(b);
    WgmmaFence();
#pragma unroll
    for (int k = 0; k < kTileK / 16; ++k) Wgmma<T, N>::Issue(acc[0], a_desc + 2 * k, b_desc + 2 * k);
    WgmmaCommit();
  }
};

template <class Mma>
__device__ __forceinline__ void ClearAccumulators(float (&acc)[Mma::kMI][Mma::kNI][4]) {
#pragma unroll
  for (int mi = 0; mi < Mma::kMI; ++mi)
#pragma unroll
    for (int ni = 0; ni < Mma::kNI; ++ni)
#pragma unroll
      for (int e = 0; e < 4; ++e) acc[mi][ni][e] = 0.0f;
}

// Both loops run `steps` tiles of k. A cursor knows the columns of one step, how to Advance() to the next,
// and whether a block of columns ends with it; end_block(cursor) follows the products of such a step.
// load_weights(cursor, stage, …) and load_inputs(cursor, stage, …) copy the operands of a step into the stage
// at that shared address. Weights are constants, so the first ones are on their way before the previous
// kernel has ended. No thread is in the stages any more on return.

template <class Mma, int kStages, class Cursor, class LoadWeights, class LoadInputs, class EndBlock>
__device__ __forceinline__ void SyncMainLoop(float (&acc)[Mma::kMI][Mma::kNI][4], uint32_t stages, int steps,
                                             Cursor cursor, LoadWeights load_weights, LoadInputs load_inputs,
                                             EndBlock end_block) {
  constexpr uint32_t kAllStages = kStages * Mma::kStageBytes;
  Cursor ahead = cursor;
  for (int s = 0; s < kStages - 1 && s < steps; ++s, ahead.Advance())
    load_weights(ahead, stages + s * Mma::kStageBytes);
  WaitForPreviousKernel();
  ahead = cursor;
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) {
      load_inputs(ahead, stages + s * Mma::kStageBytes);
      ahead.Advance();
    }
    CopyAsyncCommit();
  }
  uint32_t filling = (kStages - 1) * Mma::kStageBytes, reading = 0;
  for (int step = 0; step < steps; ++step) {
    CopyAsyncWait<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < steps) {
      load_weights(ahead, stages + filling);
      load_inputs(ahead, stages + filling);
      ahead.Advance();
    }
    CopyAsyncCommit();
    filling = filling + Mma::kStageBytes == kAllStages ? 0 : filling + Mma::kStageBytes;
    Mma::Step(acc, stages + reading, stages + reading + Mma::kM * kTileRowBytes);
    if (cursor.BlockEnds()) end_block(cursor);
    cursor.Advance();
    reading = reading + Mma::kStageBytes == kAllStages ? 0 : reading + Mma::kStageBytes;
  }
  CopyAsyncWait<0>();
  __syncthreads();
}

// One warp feeds the stages and the warpgroups empty them, each at its own pace: while one ends a block, the
// others multiply.
template <class Mma, int kStages, class Cursor, class LoadWeights, class LoadInputs, class EndBlock>
__device__ __forceinline__ void AsyncMainLoop(float (&acc)[Mma::kMI][Mma::kNI][4], uint32_t stages, int steps,
                                              Cursor cursor, LoadWeights load_weights, LoadInputs load_inputs,
                                              EndBlock end_block) {
  __shared__ __align__(8) uint64_t barriers[2 * kStages];
  const auto full = [&](int s) { return SharedAddress(barriers + s); };
  const auto empty = [&](int s) { return SharedAddress(barriers + kStages + s); };
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) {
      BarrierInit(full(s), 1);
      BarrierInit(empty(s), Mma::kWarps);
    }
    BarrierInitFence();
  }
  __syncthreads();

  if (threadIdx.x >= Mma::kThreads) {
    if (threadIdx.x == Mma::kThreads) {
      const int first = min(steps, kStages);
      Cursor at = cursor;
      for (int s = 0; s < first; ++s, at.Advance()) {
        BarrierExpect(full(s), Mma::kStageBytes);
        load_weights(at, stages + s * Mma::kStageBytes, full(s));
      }
      WaitForPreviousKernel();
      at = cursor;
      for (int s = 0; s < first; ++s, at.Advance()) load_inputs(at, stages + s * Mma::kStageBytes, full(s));
      for (int step = first, s = 0, parity = 0; step < steps; ++step, at.Advance()) {
        BarrierWait(empty(s), parity);
        BarrierExpect(full(s), Mma::kStageBytes);
        load_weights(at, stages + s * Mma::kStageBytes, full(s));
        load_inputs(at, stages + s * Mma::kStageBytes, full(s));
        if (++s == kStages) {
          s = 0;
          parity ^= 1;
        }
      }
    }
    __syncwarp();
  } else {
    const bool speaks = threadIdx.x % 32 == 0;
    int unreleased = -1;  // the stage of the step before, still being read
    for (int step = 0, s = 0, parity = 0; step < steps; ++step, cursor.Advance()) {
      BarrierWait(full(s), parity);
      Mma::Step(acc, stages + s * Mma::kStageBytes, stages + s * Mma::kStageBytes + Mma::kM * kTileRowBytes);
      WgmmaWait<1>();
      if (unreleased >= 0 && speaks) BarrierArrive(empty(unreleased));
      unreleased = s;
      if (cursor.BlockEnds()) {
        WgmmaWait<0>();
        if (speaks) BarrierArrive(empty(s));
        unreleased = -1;
        end_block(cursor);
      }
      if (++s == kStages) {
        s = 0;
        parity ^= 1;
      }
    }
    WgmmaWait<0>();
  }
  __syncthreads();
}

}  // namespace blockrank::cuda
