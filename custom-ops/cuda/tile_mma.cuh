// The main loop that every tensor-core GEMM here shares: acc [kM × kN] += A [kM × k] · B [kN × k]ᵀ over k in tiles of 64,
// copied by cp.async into a ring of shared-memory stages. Rows of a tile are 128 bytes; the 16-byte chunk c of row i lies
// at c ^ (i % 8), which is the tensor cores' own 128-byte swizzle, so mma.sync and wgmma read the same tiles.
#pragma once

#include "wgmma.cuh"

namespace blockrank::cuda {

constexpr int kTileK = 64;
constexpr int kTileRowBytes = 128;

// Copies tiles of kRows rows of one operand; a thread owns one chunk column of every (kThreads / 8)-th row. Integer
// arithmetic is what limits this loop, so a copy costs one 64-bit addition, one comparison and the copy.
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
  static constexpr int kRowStep = kThreads / 8;  // a multiple of 8: the swizzle of a thread's rows is the same
  static constexpr int kCopies = kRows / kRowStep;
  static_assert(kRows % kRowStep == 0 && kRowStep % 8 == 0);
  static __device__ __forceinline__ int Chunk() { return threadIdx.x % 8; }

  const T* first_;
  int64_t step_;
  int copies_;
  uint32_t offset_;
};

// What both instruction sets share. Accumulator (mi, ni, e) of a lane (g = lane / 4, t = lane % 4) is the element
// row = Row() + 16·mi + g + 8·(e / 2), column = Column() + 8·ni + 2·t + e % 2.
template <int M, int N>
struct TileShape {
  static constexpr int kM = M, kN = N;
  static constexpr int kWarps = M / 16;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kStageBytes = (M + N) * kTileRowBytes;
};

// mma.sync m16n8k16 with ldmatrix: each warp owns 32 columns.
template <class T, int M, int N>
struct MmaSync : TileShape<M, N> {
  static constexpr bool kAsync = false;
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
  static __device__ __forceinline__ void BeforeBarrier() {}
  static __device__ __forceinline__ void Wait() {}
};

// wgmma m64nNk16: each warpgroup owns 64 rows and all columns.
template <class T, int M, int N>
struct MmaWarpgroup : TileShape<M, N> {
  static constexpr bool kAsync = true;
  static constexpr int kMI = 1, kNI = N / 8;
  static_assert(M % 64 == 0);

  static __device__ __forceinline__ int Row() { return threadIdx.x / 32 * 16; }
  static __device__ __forceinline__ int Column() { return 0; }

  static __device__ __forceinline__ void Step(float (&acc)[kMI][kNI][4], uint32_t a, uint32_t b) {
    const uint64_t a_desc = WgmmaDescriptor(a + threadIdx.x / 128 * 64 * kTileRowBytes), b_desc = WgmmaDescriptor(b);
    WgmmaFence();
#pragma unroll
    for (int k = 0; k < kTileK / 16; ++k) Wgmma<T, N>::Issue(acc[0], a_desc + 2 * k, b_desc + 2 * k);
    WgmmaCommit();
  }
  static __device__ __forceinline__ void BeforeBarrier() { FenceAsyncProxy(); }
  static __device__ __forceinline__ void Wait() { WgmmaWait(); }
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

// Runs `steps` tiles of k. A cursor knows the columns of one step and how to Advance() to the next; load_weights(cursor, stage)
// and load_inputs(cursor, stage) copy the operands of its step into the stage at that shared address. Weights are constants,
// so the first ones are on their way before the previous kernel has ended. after(cursor) follows each step's products. All
// threads have left the stages when this returns.
template <class Mma, int kStages, class Cursor, class LoadWeights, class LoadInputs, class After>
__device__ __forceinline__ void MainLoop(float (&acc)[Mma::kMI][Mma::kNI][4], uint32_t stages, int steps, Cursor cursor,
                                         LoadWeights load_weights, LoadInputs load_inputs, After after) {
  constexpr uint32_t kAllStages = kStages * Mma::kStageBytes;
  Cursor ahead = cursor;
  for (int s = 0; s < kStages - 1 && s < steps; ++s, ahead.Advance()) load_weights(ahead, stages + s * Mma::kStageBytes);
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
  const auto prefetch = [&](bool more) {
    if (more) {
      load_weights(ahead, stages + filling);
      load_inputs(ahead, stages + filling);
      ahead.Advance();
    }
    CopyAsyncCommit();
    filling = filling + Mma::kStageBytes == kAllStages ? 0 : filling + Mma::kStageBytes;
  };
  for (int step = 0; step < steps; ++step) {
    const bool more = step + kStages - 1 < steps;
    CopyAsyncWait<kStages - 2>();
    Mma::BeforeBarrier();
    __syncthreads();
    if constexpr (!Mma::kAsync) prefetch(more);
    Mma::Step(acc, stages + reading, stages + reading + Mma::kM * kTileRowBytes);
    if constexpr (Mma::kAsync) prefetch(more);
    Mma::Wait();
    after(cursor);
    cursor.Advance();
    reading = reading + Mma::kStageBytes == kAllStages ? 0 : reading + Mma::kStageBytes;
  }
  CopyAsyncWait<0>();
  __syncthreads();
}

}  // namespace blockrank::cuda
