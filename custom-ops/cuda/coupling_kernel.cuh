// The coupling of BLAST on its own, in 16-bit types: z[n, i, ρ] = Σ_j S[i, j, ρ] · t[n, j, ρ], for every rank
// one small matrix product z_ρ [b_out × n] = S_ρ [b_out × b_in] · t_ρ [b_in × n] on tensor cores.
//
// A block owns 64 ranks, a warp 8 of them: 16 bytes of t hold these for one (n, j), so four of them give a
// lane all it needs of 8 tokens, and the fragments of each rank are picked from them with byte permutes. t
// and z pass through shared memory in rows of 128 bytes: read straight from global memory, a warp would touch
// 32 lines for 512 bytes (measured: three times as long). S is permuted once and stays in registers.
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
  int b_in, b_out, r;
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

constexpr int kCouplingStages = 3;
constexpr int kCouplingTileBytes =
    8 * kCouplingBlocks * kCouplingRanks * 2;  // 8 tokens × 16 blocks × 64 ranks
constexpr int kCouplingSharedBytes = (kCouplingStages + 2) * kCouplingTileBytes;

// Address of chunk c (8 ranks) of row (outer, inner) in a tile. The mix makes the rows that a warp's
// fragments come from, and those that its results go to, lie in different banks.
__device__ __forceinline__ uint32_t CouplingRead(uint32_t tile, int outer, int j, int chunk) {
  return tile + (outer * kCouplingBlocks + j) * 128 + ((chunk ^ ((j >> 1 & 3) | (outer & 1) << 2)) << 4);
}
__device__ __forceinline__ uint32_t CouplingWrite(uint32_t tile, int n, int i, int chunk) {
  return tile + (n * kCouplingBlocks + i) * 128 + ((chunk ^ ((i & 1) | (n >> 1 & 3) << 1)) << 4);
}

// Grid: x = tiles of 64 ranks, y: takes every gridDim.y-th group of 8 tokens, z = tiles of 16 rows i. From
// the last token to the first, which finds what stage 1 wrote last still in L2.
template <class T>
__global__ void __launch_bounds__(kCouplingThreads, 2)
    TensorCouplingKernel(const __grid_constant__ CouplingParams<T> p) {
  extern __shared__ __align__(128) uint8_t shared_bytes[];
  const uint32_t tiles = SharedAddress(shared_bytes), staged = tiles + kCouplingStages * kCouplingTileBytes;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  const int rank0 = blockIdx.x * kCouplingRanks, i0 = blockIdx.z * kCouplingBlocks;
  const int chunk = threadIdx.x % 8, rank = rank0 + chunk * 8;  // of this thread's copies
  const bool rank_valid = rank < p.r;
  const int js[4] = {2 * q, 2 * q + 1, 2 * q + 8, 2 * q + 9};
  ReleaseNextKernel();

  // S of 16 rows i fills two tiles; it is a constant and need not wait.
#pragma unroll
  for (int turn = 0; turn < 8; ++turn) {
    const int row = threadIdx.x / 8 + turn * 32, i = row / 16, j = row % 16;
    const bool valid = rank_valid && i0 + i < p.b_out && j < p.b_in;
    CopyAsync16(CouplingRead(tiles, i, j, chunk),
                valid ? p.s + (static_cast<int64_t>(i0 + i) * p.b_in + j) * p.r + rank : p.s, valid);
  }
  CopyAsyncCommit();
  CopyAsyncWait<0>();
  __syncthreads();
  uint32_t s[8][4];
  {
    uint4 v[2][4];  // rows g and g + 8
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int k = 0; k < 4; ++k) v[half][k] = LoadShared16(CouplingRead(tiles, g + half * 8, js[k], warp));
    ForEachRank([&]<int kE>() {
      s[kE][0] = PickPair<kE>(v[0][0], v[0][1]);
      s[kE][1] = PickPair<kE>(v[1][0], v[1][1]);
      s[kE][2] = PickPair<kE>(v[0][2], v[0][3]);
      s[kE][3] = PickPair<kE>(v[1][2], v[1][3]);
    });
  }
  __syncthreads();
  WaitForPreviousKernel();

  // A thread copies one column j (and stores one row i) of every second token: its pointers move by a
  // constant.
  const int all_groups = static_cast<int>((p.tokens + 7) / 8), own = threadIdx.x / 8 % 16,
            n0 = threadIdx.x / 128;
  const int stride = gridDim.y, last = all_groups - 1 - static_cast<int>(blockIdx.y),
            groups = last / stride + 1;
  const int64_t t_token = static_cast<int64_t>(p.b_in) * p.r, z_token = static_cast<int64_t>(p.b_out) * p.r,
                first = static_cast<int64_t>(last) * 8;
  const int tokens_left = static_cast<int>(min(p.tokens - first, int64_t{8}));  // of the first group
  const bool reads = rank_valid && own < p.b_in, writes = rank_valid && i0 + own < p.b_out;
  const T* t_from = reads ? p.t + (first + n0) * t_token + own * p.r + rank : p.t;
  T* z_to = p.z + (first + n0) * z_token + static_cast<int64_t>(i0 + own) * p.r + rank;
  const auto send = [&](int group) {
    if (group < groups) {
      const uint32_t tile = tiles + group % kCouplingStages * kCouplingTileBytes;
#pragma unroll
      for (int turn = 0; turn < 4; ++turn) {
        const int n = n0 + turn * 2;
        const bool valid = reads && (group > 0 || n < tokens_left);
        if (reads || group < kCouplingStages)  // zeros of columns that do not exist stay
          CopyAsync16(CouplingRead(tile, n, own, chunk), valid ? t_from + turn * 2 * t_token : p.t, valid);
      }
      t_from -= 8 * stride * t_token;
    }
    CopyAsyncCommit();
  };
  for (int group = 0; group < kCouplingStages - 1; ++group) send(group);
  for (int group = 0; group < groups; ++group) {
    CopyAsyncWait<kCouplingStages - 2>();
    __syncthreads();
    send(group + kCouplingStages - 1);
    const uint32_t tile = tiles + group % kCouplingStages * kCouplingTileBytes;
    uint4 t[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) t[k] = LoadShared16(CouplingRead(tile, g, js[k], warp));
    uint32_t tf[8][2];
    ForEachRank([&]<int kE>() {
      tf[kE][0] = PickPair<kE>(t[0], t[1]);
      tf[kE][1] = PickPair<kE>(t[2], t[3]);
    });
    uint32_t packed[4][4];  // [which (i, n) of the lane][pair of ranks]
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      float z[2][4] = {};
      Mma16x8x16<T>(z[0], s[2 * k], tf[2 * k][0], tf[2 * k][1]);
      Mma16x8x16<T>(z[1], s[2 * k + 1], tf[2 * k + 1][0], tf[2 * k + 1][1]);
#pragma unroll
      for (int w = 0; w < 4; ++w) packed[w][k] = Pack2<T>(z[0][w], z[1][w]);
    }
    const uint32_t out = staged + group % 2 * kCouplingTileBytes;
#pragma unroll
    for (int w = 0; w < 4; ++w)
      StoreShared16(CouplingWrite(out, 2 * q + w % 2, g + w / 2 * 8, warp),
                    make_uint4(packed[w][0], packed[w][1], packed[w][2], packed[w][3]));
    __syncthreads();
    if (writes) {
      uint4 v[4];
#pragma unroll
      for (int turn = 0; turn < 4; ++turn)
        v[turn] = LoadShared16(CouplingWrite(out, n0 + turn * 2, own, chunk));
#pragma unroll
      for (int turn = 0; turn < 4; ++turn)
        if (group > 0 || n0 + turn * 2 < tokens_left)
          *reinterpret_cast<uint4*>(z_to + turn * 2 * z_token) = v[turn];
    }
    z_to -= 8 * stride * z_token;
  }
}

}  // namespace blockrank::cuda
