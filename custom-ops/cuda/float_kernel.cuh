// float32 products on multi-stage tiles: C[batch] [m × n] = A[batch] [m × k] · B[batch] [n × k]ᵀ with the
// index map of GeneralGemmParams, on CUDA cores (exact float32) or, where the caller allows it, on tensor
// cores in tf32 (operands rounded to 11 bits, sums in float32).
//
// Both read the same shared tiles: rows of 32 columns, 36 floats apart, which lets eight lanes that read 16
// bytes of eight rows, or a warp that reads the fragments of an m16n8k8 product, touch all banks.
#pragma once

#include "general_kernel.cuh"
#include "ptx.cuh"

namespace blockrank::cuda {

constexpr int kFloatK = 32, kFloatPitch = kFloatK + 4, kFloatStages = 3;

// A tile of kM × kN; a thread owns kM / 16 × kN / 16 elements (CUDA cores), a warp 32 columns (tf32).
template <int M, int N>
struct FloatTile {
  static constexpr int kM = M, kN = N;
  static constexpr int kThreads = 256;
  static constexpr int kStageFloats = (M + N) * kFloatPitch;
  static constexpr int kSharedBytes = kFloatStages * kStageFloats * 4;
};

// Rows [0, kRows) of one operand, 32 columns from `column` on, of which `columns` exist (a multiple of 4).
template <int kRows, int kThreads>
__device__ __forceinline__ void CopyFloatTile(float* tile, const float* base, int64_t stride, int64_t rows,
                                              int64_t column, int64_t columns) {
  const int chunk = threadIdx.x % 8 * 4;
#pragma unroll
  for (int row = threadIdx.x / 8; row < kRows; row += kThreads / 8) {
    const bool valid = row < rows && column + chunk < columns;
    CopyAsync16(SharedAddress(tile + row * kFloatPitch + chunk),
                valid ? base + row * stride + column + chunk : base, valid);
  }
}

// Elements (ty + 16·i, tx + 16·j) of the tile.
template <class Tile>
struct CudaCores {
  static constexpr int kRows = Tile::kM / 16, kColumns = Tile::kN / 16;
  float acc[kRows][kColumns] = {};

  __device__ __forceinline__ void Step(const float* a, const float* b) {
    const float *a_row = a + threadIdx.x / 16 * kFloatPitch, *b_row = b + threadIdx.x % 16 * kFloatPitch;
#pragma unroll 2
    for (int k = 0; k < kFloatK; k += 4) {
      float4 av[kRows], bv[kColumns];
#pragma unroll
      for (int i = 0; i < kRows; ++i)
        av[i] = *reinterpret_cast<const float4*>(a_row + i * 16 * kFloatPitch + k);
#pragma unroll
      for (int j = 0; j < kColumns; ++j)
        bv[j] = *reinterpret_cast<const float4*>(b_row + j * 16 * kFloatPitch + k);
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
          acc[i][j] = fmaf(av[i].x, bv[j].x, acc[i][j]);
          acc[i][j] = fmaf(av[i].y, bv[j].y, acc[i][j]);
          acc[i][j] = fmaf(av[i].z, bv[j].z, acc[i][j]);
          acc[i][j] = fmaf(av[i].w, bv[j].w, acc[i][j]);
        }
    }
  }
  // f(row, column, value)
  template <class Function>
  __device__ __forceinline__ void ForEach(Function f) const {
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < kColumns; ++j) f(threadIdx.x / 16 + i * 16, threadIdx.x % 16 + j * 16, acc[i][j]);
  }
};

template <class Tile>
struct TensorFloat32 {
  static constexpr int kWarpsN = Tile::kN / 32, kWarpsM = Tile::kThreads / 32 / kWarpsN;
  static constexpr int kMI = Tile::kM / kWarpsM / 16, kNI = 4;
  static_assert(kMI * kWarpsM * 16 == Tile::kM);
  float acc[kMI][kNI][4] = {};

  static __device__ __forceinline__ int Row() {
    return threadIdx.x / 32 / kWarpsN * (kMI * 16) + threadIdx.x % 32 / 4;
  }
  static __device__ __forceinline__ int Column() { return threadIdx.x / 32 % kWarpsN * 32; }

  __device__ __forceinline__ void Step(const float* a, const float* b) {
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const float *a_row = a + Row() * kFloatPitch + t, *b_row = b + (Column() + g) * kFloatPitch + t;
#pragma unroll
    for (int k = 0; k < kFloatK; k += 8) {
      uint32_t af[kMI][4], bf[kNI][2];
#pragma unroll
      for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          af[mi][e] = RoundTf32(a_row[(mi * 16 + e % 2 * 8) * kFloatPitch + k + e / 2 * 4]);
#pragma unroll
      for (int ni = 0; ni < kNI; ++ni)
#pragma unroll
        for (int e = 0; e < 2; ++e) bf[ni][e] = RoundTf32(b_row[ni * 8 * kFloatPitch + k + e * 4]);
#pragma unroll
      for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
        for (int ni = 0; ni < kNI; ++ni) Mma16x8x8Tf32(acc[mi][ni], af[mi], bf[ni]);
    }
  }
  template <class Function>
  __device__ __forceinline__ void ForEach(Function f) const {
#pragma unroll
    for (int mi = 0; mi < kMI; ++mi)
#pragma unroll
      for (int ni = 0; ni < kNI; ++ni)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          f(Row() + mi * 16 + e / 2 * 8, Column() + ni * 8 + threadIdx.x % 4 * 2 + e % 2, acc[mi][ni][e]);
  }
};

// Grid: x = (tiles of m, fastest) × tiles of n; z = batch. Strides of rows and batches, k and its total are
// multiples of 4. Dynamic shared memory: Tile::kSharedBytes.
template <class Tile, class Products>
__global__ void __launch_bounds__(Tile::kThreads)
    FloatGemmKernel(const __grid_constant__ GeneralGemmParams<float, float, float> p) {
  extern __shared__ __align__(16) float shared_floats[];
  const int64_t batch = blockIdx.z, m_tiles = (p.m + Tile::kM - 1) / Tile::kM;
  const int64_t m0 = blockIdx.x % m_tiles * Tile::kM, n0 = blockIdx.x / m_tiles * Tile::kN;
  const int64_t n = min(p.n, (p.n_total - batch * p.n_step + p.n_stride - 1) / p.n_stride);
  const int64_t k = min(p.k, p.k_total - batch * p.k_step);
  ReleaseNextKernel();
  if (n0 >= n) return;
  const float *a = p.a + m0 * p.a_row + batch * p.a_batch, *b = p.b + n0 * p.b_row + batch * p.b_batch;
  const int steps = static_cast<int>((k + kFloatK - 1) / kFloatK);
  const auto send_b = [&](int step) {
    if (step < steps)
      CopyFloatTile<Tile::kN, Tile::kThreads>(
          shared_floats + step % kFloatStages * Tile::kStageFloats + Tile::kM * kFloatPitch, b, p.b_row,
          n - n0, int64_t{step} * kFloatK, k);
  };
  const auto send_a = [&](int step) {
    if (step < steps)
      CopyFloatTile<Tile::kM, Tile::kThreads>(shared_floats + step % kFloatStages * Tile::kStageFloats, a,
                                              p.a_row, p.m - m0, int64_t{step} * kFloatK, k);
    CopyAsyncCommit();
  };
  for (int step = 0; step < kFloatStages - 1; ++step) send_b(step);  // weights are constants
  WaitForPreviousKernel();
  for (int step = 0; step < kFloatStages - 1; ++step) send_a(step);
  Products products;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    CopyAsyncWait<kFloatStages - 2>();
    __syncthreads();
    send_b(step + kFloatStages - 1);
    send_a(step + kFloatStages - 1);
    const float* stage = shared_floats + step % kFloatStages * Tile::kStageFloats;
    products.Step(stage, stage + Tile::kM * kFloatPitch);
  }
  CopyAsyncWait<0>();

  // A column's place is worked out once for all its rows: divisions by c_group are slow.
  __syncthreads();
  products.ForEach([&](int row, int column, float v) { shared_floats[row * (Tile::kN + 4) + column] = v; });
  __syncthreads();
  static_assert(Tile::kM * (Tile::kN + 4) <= kFloatStages * Tile::kStageFloats &&
                Tile::kThreads % Tile::kN == 0);
  const int64_t c = n0 + threadIdx.x % Tile::kN;
  if (c >= n) return;
  const int64_t offset = batch * p.c_batch + c / p.c_group * p.c_group_stride + c % p.c_group * p.c_column;
#pragma unroll 1
  for (int row = threadIdx.x / Tile::kN; row < Tile::kM && m0 + row < p.m; row += Tile::kThreads / Tile::kN)
    p.c[(m0 + row) * p.c_row + offset] =
        p.epilogue(shared_floats[row * (Tile::kN + 4) + threadIdx.x % Tile::kN], offset);
}

}  // namespace blockrank::cuda
