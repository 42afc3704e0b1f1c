// The main loop that every tensor-core GEMM here shares: acc [kM × kN] += A [kM × k] · B [kN × k]ᵀ over k in tiles of 64,
// copied by cp.async into a ring of shared-memory stages. Rows of a tile are 128 bytes; the 16-byte chunk c of row i lies
// at c ^ (i % 8), which is the tensor cores' own 128-byte swizzle, so mma.sync and wgmma read the same tiles.
#pragma once

#include "wgmma.cuh"

namespace blockrank::cuda {

constexpr int kTileK = 64;
constexpr int kTileRowBytes = 128;

// Copies tiles of kRows rows of one operand; a thread owns one chunk column of every (kThreads / 8)-th row.
template <class T, int kRows, int kThreads>
class TileLoader {
 public:
  // `rows` of the kRows rows exist; the others read as zeros.
  __device__ TileLoader(const T* base, int64_t row_stride, int64_t rows) {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int row = kFirstRow() + i * kRowStep;
      valid_[i] = row < rows;
      row_[i] = base + (valid_[i] ? row * row_stride : 0);
    }
  }

  // Tile of columns [column, column + 64), of which the first `columns` exist (a multiple of 8, may be negative).
  __device__ __forceinline__ void Load(uint32_t tile, int64_t column, int64_t columns) const {
    const int chunk = threadIdx.x % 8;
    const bool inside = chunk * 8 < columns;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int row = kFirstRow() + i * kRowStep;
      const bool valid = inside && valid_[i];
      CopyAsync16(tile + row * kTileRowBytes + ((chunk ^ (row & 7)) << 4), valid ? row_[i] + column + chunk * 8 : row_[i],
                  valid);
    }
  }

 private:
  static constexpr int kRowStep = kThreads / 8;
  static constexpr int kCopies = kRows / kRowStep;
  static_assert(kRows % kRowStep == 0);
  static __device__ __forceinline__ int kFirstRow() { return threadIdx.x / 8; }

  const T* row_[kCopies];
  bool valid_[kCopies];
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

// Runs `steps` tiles of k. load_weights(step, stage) and load_inputs(step, stage) copy the operands of one step into the stage
// at that shared address; weights are constants, so the first ones are on their way before the previous kernel has ended.
// after(step) follows each step's products. All threads have left the stages when this returns.
template <class Mma, int kStages, class LoadWeights, class LoadInputs, class After>
__device__ __forceinline__ void MainLoop(float (&acc)[Mma::kMI][Mma::kNI][4], uint32_t stages, int steps,
                                         LoadWeights load_weights, LoadInputs load_inputs, After after) {
  for (int s = 0; s < kStages - 1 && s < steps; ++s) load_weights(s, stages + s * Mma::kStageBytes);
  WaitForPreviousKernel();
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) load_inputs(s, stages + s * Mma::kStageBytes);
    CopyAsyncCommit();
  }
  const auto prefetch = [&](int step) {
    if (step < steps) {
      const uint32_t stage = stages + step % kStages * Mma::kStageBytes;
      load_weights(step, stage);
      load_inputs(step, stage);
    }
    CopyAsyncCommit();
  };
  for (int step = 0; step < steps; ++step) {
    CopyAsyncWait<kStages - 2>();
    Mma::BeforeBarrier();
    __syncthreads();
    if constexpr (!Mma::kAsync) prefetch(step + kStages - 1);
    const uint32_t stage = stages + step % kStages * Mma::kStageBytes;
    Mma::Step(acc, stage, stage + Mma::kM * kTileRowBytes);
    if constexpr (Mma::kAsync) prefetch(step + kStages - 1);
    Mma::Wait();
    after(step);
  }
  CopyAsyncWait<0>();
  __syncthreads();
}

}  // namespace blockrank::cuda
