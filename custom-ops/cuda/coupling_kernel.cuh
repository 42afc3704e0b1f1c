// The coupling of BLAST on its own, in 16-bit types: z[n, i, ρ] = Σ_j S[i, j, ρ] · t[n, j, ρ], for every rank one small matrix
// product z_ρ [b_out × n] = S_ρ [b_out × b_in] · t_ρ [b_in × n] on tensor cores.
//
// A warp owns 8 ranks. 16 bytes of t hold them for one (n, j), so four loads give a lane all it needs of 8 tokens: the
// fragments of each rank are picked from them with byte permutes. S is permuted once and stays in registers.
#pragma once

#include "ptx.cuh"
#include "types.cuh"

namespace blockrank::cuda {

constexpr int kCouplingBlocks = 16;  // b_in at most, and rows i of one product
constexpr int kCouplingWarps = 8, kCouplingThreads = kCouplingWarps * 32;
constexpr int kCouplingRanks = kCouplingWarps * 8;

template <class T>
struct CouplingParams {
  const T* t;  // [tokens, b_in, r]
  const T* s;  // [b_out, b_in, r]
  T* z;        // [tokens, b_out, r]
  int64_t tokens;
  int b_in, b_out, r, groups_per_block;  // groups: of 8 tokens
};

// Element e (0 … 7, a constant) of two vectors of 8, packed.
template <int kElement>
__device__ __forceinline__ uint32_t PickPair(const uint4& low, const uint4& high) {
  const uint32_t l[4] = {low.x, low.y, low.z, low.w}, h[4] = {high.x, high.y, high.z, high.w};
  return __byte_perm(l[kElement / 2], h[kElement / 2], kElement % 2 == 0 ? 0x5410 : 0x7632);
}

// f.operator()<0>() … f.operator()<7>()
template <class Function>
__device__ __forceinline__ void ForEachRank(Function f) {
  f.template operator()<0>();
  f.template operator()<1>();
  f.template operator()<2>();
  f.template operator()<3>();
  f.template operator()<4>();
  f.template operator()<5>();
  f.template operator()<6>();
  f.template operator()<7>();
}

// Grid: x = tiles of kCouplingRanks ranks, y = runs of groups_per_block · 8 tokens, z = tiles of 16 rows i.
template <class T>
__global__ void __launch_bounds__(kCouplingThreads, 2) TensorCouplingKernel(const __grid_constant__ CouplingParams<T> p) {
  __shared__ __align__(16) uint8_t staged[2][8 * kCouplingBlocks * kCouplingRanks * 2];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  const int rank0 = blockIdx.x * kCouplingRanks, rank = rank0 + warp * 8, i0 = blockIdx.z * kCouplingBlocks;
  const bool rank_valid = rank < p.r;
  const uint4 zero = make_uint4(0, 0, 0, 0);
  const int js[4] = {2 * q, 2 * q + 1, 2 * q + 8, 2 * q + 9};
  ReleaseNextKernel();

  uint32_t s[8][4];
  {
    uint4 v[2][4];  // rows i0 + g and i0 + g + 8
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int i = i0 + g + half * 8;
        v[half][k] = rank_valid && i < p.b_out && js[k] < p.b_in
                         ? LoadFactor16(p.s + (static_cast<int64_t>(i) * p.b_in + js[k]) * p.r + rank)
                         : zero;
      }
    ForEachRank([&]<int kE>() {
      s[kE][0] = PickPair<kE>(v[0][0], v[0][1]);
      s[kE][1] = PickPair<kE>(v[1][0], v[1][1]);
      s[kE][2] = PickPair<kE>(v[0][2], v[0][3]);
      s[kE][3] = PickPair<kE>(v[1][2], v[1][3]);
    });
  }
  WaitForPreviousKernel();

  const int64_t first = static_cast<int64_t>(blockIdx.y) * p.groups_per_block * 8;
  const int groups = static_cast<int>(min((p.tokens - first + 7) / 8, static_cast<int64_t>(p.groups_per_block)));
  uint4 t[4];
  const auto load = [&](int group) {
    const int64_t n = first + group * 8 + g;
#pragma unroll
    for (int k = 0; k < 4; ++k)
      t[k] = rank_valid && group < groups && n < p.tokens && js[k] < p.b_in ? Load16(p.t + (n * p.b_in + js[k]) * p.r + rank) : zero;
  };
  load(0);
  for (int group = 0; group < groups; ++group) {
    uint32_t tf[8][2];
    ForEachRank([&]<int kE>() {
      tf[kE][0] = PickPair<kE>(t[0], t[1]);
      tf[kE][1] = PickPair<kE>(t[2], t[3]);
    });
    load(group + 1);
    uint32_t packed[4][4];  // [which (i, n) of the lane][pair of ranks]
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      float z[2][4] = {};
      Mma16x8x16<T>(z[0], s[2 * k], tf[2 * k][0], tf[2 * k][1]);
      Mma16x8x16<T>(z[1], s[2 * k + 1], tf[2 * k + 1][0], tf[2 * k + 1][1]);
#pragma unroll
      for (int w = 0; w < 4; ++w) packed[w][k] = Pack2<T>(z[0][w], z[1][w]);
    }
    // Row (n, i) of the staged tile is 128 bytes, a chunk per warp; chunk c of the row at c ^ (row-dependent mix).
    const uint32_t buffer = SharedAddress(staged[group % 2]);
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const int n = 2 * q + w % 2, i = g + w / 2 * 8;
      StoreShared16(buffer + (n * 16 + i) * 128 + ((warp ^ (i & 7)) << 4),
                    make_uint4(packed[w][0], packed[w][1], packed[w][2], packed[w][3]));
    }
    __syncthreads();
    const int chunk = threadIdx.x % 8;
#pragma unroll
    for (int turn = 0; turn < 4; ++turn) {
      const int row = threadIdx.x / 8 + turn * 32, n = row / 16, i = row % 16;
      const int64_t token = first + group * 8 + n;
      if (token < p.tokens && i0 + i < p.b_out && rank0 + chunk * 8 < p.r)
        *reinterpret_cast<uint4*>(p.z + (token * p.b_out + i0 + i) * p.r + rank0 + chunk * 8) =
            LoadShared16(buffer + row * 128 + ((chunk ^ (i & 7)) << 4));
    }
  }
}

}  // namespace blockrank::cuda
