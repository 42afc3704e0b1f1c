// The kernels that are right for every shape, type and alignment: three plain launches over a chunk of tokens
// with float32 intermediates, products on CUDA cores. The fallback of the dispatcher and the path of float32
// and mixed types.
#pragma once

#include "ptx.cuh"
#include "types.cuh"

namespace blockrank::cuda {

// C[batch] [m × n] = A[batch] [m × k] · B[batch] [n × k]ᵀ with the index map of GemmParams; no stride need be
// aligned.
template <class TA, class TB, class TC>
struct GeneralGemmParams {
  const TA* a;
  int64_t a_row, a_batch;
  const TB* b;
  int64_t b_row, b_batch;
  TC* c;
  int64_t c_row, c_batch, c_column, c_group_stride, c_group;
  int64_t m, n, n_total, n_step, n_stride, k, k_total, k_step;
  Epilogue<TC> epilogue;
  // Scales of int8 weights: of whole rows, in the order of C (`scale_columns` 0), or of every so many columns
  // of a row.
  Scales scales;
  int64_t scale_columns, scales_per_row;
};

constexpr int kGeneralTile = 64, kGeneralK = 16, kGeneralThreads = 256;

// scale(row, column) multiplies the elements.
template <class T, class Scale>
__device__ __forceinline__ void LoadGeneralTile(float (&tile)[kGeneralK][kGeneralTile + 4], const T* base,
                                                int64_t stride, int64_t rows, int64_t column, int64_t columns,
                                                Scale scale) {
  for (int i = threadIdx.x; i < kGeneralTile * kGeneralK; i += kGeneralThreads) {
    const int kk = i % kGeneralK, row = i / kGeneralK;
    tile[kk][row] = row < rows && column + kk < columns
                        ? ToFloat(base[row * stride + column + kk]) * scale(row, column + kk)
                        : 0.0f;
  }
}

// Grid: x = (tiles of n, fastest) × tiles of m; z = batch. Each thread owns a 4 × 4 square of a 64 × 64 tile.
template <class TA, class TB, class TC>
__global__ void __launch_bounds__(kGeneralThreads)
    GeneralGemmKernel(const __grid_constant__ GeneralGemmParams<TA, TB, TC> p) {
  __shared__ __align__(16) float a[kGeneralK][kGeneralTile + 4], b[kGeneralK][kGeneralTile + 4];
  const int64_t batch = blockIdx.z, n_tiles = (p.n + kGeneralTile - 1) / kGeneralTile;
  const int64_t n0 = blockIdx.x % n_tiles * kGeneralTile, m0 = blockIdx.x / n_tiles * kGeneralTile;
  const int64_t n = min(p.n, (p.n_total - batch * p.n_step + p.n_stride - 1) / p.n_stride);
  const int64_t k = min(p.k, p.k_total - batch * p.k_step);
  ReleaseNextKernel();
  WaitForPreviousKernel();
  if (n0 >= n) return;
  const TA* a_base = p.a + m0 * p.a_row + batch * p.a_batch;
  const TB* b_base = p.b + n0 * p.b_row + batch * p.b_batch;
  const int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
  float acc[4][4] = {};
  for (int64_t k0 = 0; k0 < k; k0 += kGeneralK) {
    LoadGeneralTile(a, a_base, p.a_row, p.m - m0, k0, k, [](int64_t, int64_t) { return 1.0f; });
    LoadGeneralTile(b, b_base, p.b_row, n - n0, k0, k, [&](int64_t row_of_b, int64_t c) {
      if (p.scale_columns == 0) return 1.0f;
      return p.scales[(batch * p.c_batch + (n0 + row_of_b) * p.c_column) * p.scales_per_row +
                      c / p.scale_columns];
    });
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < kGeneralK; ++kk) {
      const float4 av = *reinterpret_cast<const float4*>(&a[kk][row]),
                   bv = *reinterpret_cast<const float4*>(&b[kk][column]);
      const float ar[4] = {av.x, av.y, av.z, av.w}, br[4] = {bv.x, bv.y, bv.z, bv.w};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e) acc[i][e] = fmaf(ar[i], br[e], acc[i][e]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i)
    for (int e = 0; e < 4; ++e) {
      const int64_t m = m0 + row + i, c = n0 + column + e;
      if (m >= p.m || c >= n) continue;
      const int64_t offset =
          batch * p.c_batch + c / p.c_group * p.c_group_stride + c % p.c_group * p.c_column;
      const float sum = p.scale_columns == 0 ? acc[i][e] * p.scales[offset] : acc[i][e];
      p.c[m * p.c_row + offset] = FromFloat<TC>(p.epilogue(sum, offset));
    }
}

constexpr int kCouplingTokens = 4;  // that share a load of S

// z[n, i, ρ] = Σ_j S[i, j, ρ]·t[n, j, ρ]. Grid: x = groups of tokens, y = tiles of 128 ranks, z: takes every
// gridDim.z-th row i. Threads: 128.
template <class TT, class TS, class TZ>
__global__ void __launch_bounds__(128)
    CouplingKernel(const TT* t, const TS* s, TZ* z, int64_t tokens, int b_in, int b_out, int64_t r) {
  ReleaseNextKernel();
  WaitForPreviousKernel();
  const int64_t n0 = static_cast<int64_t>(blockIdx.x) * kCouplingTokens,
                rank = static_cast<int64_t>(blockIdx.y) * 128 + threadIdx.x;
  if (rank >= r) return;
  const TT* t_n[kCouplingTokens];  // the last token again where there are no more
#pragma unroll
  for (int n = 0; n < kCouplingTokens; ++n) t_n[n] = t + min(n0 + n, tokens - 1) * b_in * r + rank;
  for (int i = blockIdx.z; i < b_out; i += gridDim.z) {
    float sums[kCouplingTokens] = {};
#pragma unroll 4
    for (int j = 0; j < b_in; ++j) {
      const float factor = ToFloat(s[(static_cast<int64_t>(i) * b_in + j) * r + rank]);
#pragma unroll
      for (int n = 0; n < kCouplingTokens; ++n) sums[n] = fmaf(factor, ToFloat(t_n[n][j * r]), sums[n]);
    }
#pragma unroll
    for (int n = 0; n < kCouplingTokens; ++n)
      if (n0 + n < tokens) z[((n0 + n) * b_out + i) * r + rank] = FromFloat<TZ>(sums[n]);
  }
}

}  // namespace blockrank::cuda
