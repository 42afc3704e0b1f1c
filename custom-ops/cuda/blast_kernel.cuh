// BLAST stage 1 with the coupling, t never in global memory: z[n, i, ρ] = Σ_j S[i, j, ρ] · (V_j x_j)[n, ρ].
//
// A cluster owns a tile of kM ranks × kN tokens. Its C blocks share out the input blocks j (block c takes j =
// c, c + C, …) and run them through tensor cores one after the other. Each finished t_j goes, rounded to T,
// to the cluster member that owns the rank: member c keeps ranks [c·kM/C, (c+1)·kM/C) of all j as t[ρ][j][n]
// in its shared memory. Once all have arrived, the coupling is for every rank one small matrix product z_ρ
// [b_out × n] = S_ρ [b_out × b_in] · t_ρ [b_in × n], also on tensor cores (on CUDA cores it would be
// b_out·b_in·r multiply-adds a token, as long as stage 1 itself for b = 16).
#pragma once

#include "tile_mma.cuh"
#include "types.cuh"

namespace blockrank::cuda {

constexpr int kMaxFusedBlocks = 16;  // b_in and b_out, the size of one m16n8k16 product

template <class T>
struct BlastParams {
  const T* x;  // [tokens, in]
  const T* v;  // [r, in]
  const T* s;  // [b_out, b_in, r]
  T* z;        // [tokens, b_out, r]
  int64_t tokens, in;
  int b_in, b_out, p, r;
  TensorMap v_map, x_map;  // for wgmma tiles: (k, block, row)
};

// Shared memory of the coupling. It reuses the stages of the main loop for S and for the staging of z.
template <class Mma>
struct BlastShape {
  static constexpr int kStagedRanks = 32;  // ranks of z staged together: 64-byte runs in global memory
  static constexpr int kStagingBytes =
      8 * kMaxFusedBlocks * kStagedRanks * 2;  // per warp: 8 tokens × 16 blocks
  static __host__ __device__ constexpr int SBytes(int owned_ranks) {
    return owned_ranks * kMaxFusedBlocks * kMaxFusedBlocks * 2;
  }
};

// Address of element (ρ, j, n) of t: rows of kN tokens whose 16-byte chunks are swizzled so that both the
// writes (8 ranks of one j) and ldmatrix (8 blocks j of one rank) touch all banks.
template <int kN>
__device__ __forceinline__ uint32_t TAddress(uint32_t t, int rank, int j, int chunk) {
  constexpr int kChunks = kN / 8;
  const int mix = kChunks >= 8 ? (j ^ rank) & 7 : ((j >> 1) ^ rank) & (kChunks - 1);
  return t + (((rank * kMaxFusedBlocks + j) * kChunks + (chunk ^ mix)) << 4);
}

// t_j to the members that own its ranks. Lanes trade words first, so that each store carries 8 tokens of one
// rank.
template <class T, class Mma>
__device__ __forceinline__ void SendT(const float (&acc)[Mma::kMI][Mma::kNI][4], uint32_t t, int j,
                                      int owned) {
  const int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
#pragma unroll
  for (int mi = 0; mi < Mma::kMI; ++mi)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int rank = Mma::Row() + mi * 16 + half * 8 + g;
      const uint32_t row = ClusterAddress(t, rank / owned);
#pragma unroll
      for (int ni = 0; ni < Mma::kNI; ni += 4) {
        uint32_t words[4];
#pragma unroll
        for (int k = 0; k < 4; ++k)
          words[k] = Pack2<T>(acc[mi][ni + k][half * 2], acc[mi][ni + k][half * 2 + 1]);
        TransposeQuad(words);
        StoreCluster16(TAddress<Mma::kN>(row, rank % owned, j, Mma::Column() / 8 + ni + q), words);
      }
    }
}

// S of the owned ranks as s[ρ][i][j], zeros beyond b_out and b_in; chunk c of row i at c ^ (i / 4 % 2).
template <class T, class Mma>
__device__ __forceinline__ void TransposeS(const BlastParams<T>& p, uint32_t s, int64_t rank0, int owned) {
  const int groups = owned / 8;
#pragma unroll 4
  for (int item = threadIdx.x; item < groups * 256; item += Mma::kBlockThreads) {
    const int j = item % 16, i = item / 16 % 16, group = item / 256;
    const int64_t rank = rank0 + group * 8;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (i < p.b_out && j < p.b_in && rank < p.r)
      v = LoadFactor16(p.s + (int64_t{i} * p.b_in + j) * p.r + rank);
    const uint16_t* values = reinterpret_cast<const uint16_t*>(&v);
    const uint32_t address = s + group * 8 * 512 + i * 32 + ((j / 8 ^ (i / 4 & 1)) << 4) + j % 8 * 2;
#pragma unroll
    for (int e = 0; e < 8; ++e)
      asm volatile("st.shared.u16 [%0], %1;" ::"r"(address + e * 512), "h"(values[e]) : "memory");
  }
}

// z of 8 tokens (one chunk) and up to kStagedRanks ranks by one warp, staged so that global memory sees runs
// of ranks.
template <class T, class Mma>
__device__ __forceinline__ void CoupleAndStore(const BlastParams<T>& p, uint32_t t, uint32_t s,
                                               uint32_t staging, int rank0, int ranks, int64_t z_rank,
                                               int chunk, int64_t token0) {
  const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  const int matrix = lane / 8, i_row = (lane & 7) + (matrix & 1) * 8;
  uint32_t t_lane[4];  // of the lane's matrix row for pair k of ranks: the swizzle repeats every 8 ranks
#pragma unroll
  for (int k = 0; k < 4; ++k)
    t_lane[k] = TAddress<Mma::kN>(t, 2 * k + matrix / 2, (matrix & 1) * 8 + (lane & 7), chunk);
  const uint32_t s_lane = s + i_row * 32 + ((matrix / 2 ^ (i_row / 4 & 1)) << 4);
  for (int group = 0; group < ranks / 8; ++group) {
    const int rank = rank0 + group * 8;
    uint32_t tf[4][4], packed[4][4];  // packed: [which (i, n) of the lane][pair of ranks]
#pragma unroll
    for (int k = 0; k < 4; ++k)
      LoadMatrix4Transposed(tf[k], t_lane[k] + rank * (kMaxFusedBlocks * Mma::kN * 2));
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
      uint32_t sf[4][4];
      float z[4][4] = {};
#pragma unroll
      for (int e = 0; e < 4; ++e) LoadMatrix4(sf[e], s_lane + (rank + 2 * k + e) * 512);
#pragma unroll
      for (int e = 0; e < 4; ++e)
        Mma16x8x16<T>(z[e], sf[e], tf[k + e / 2][e % 2 * 2], tf[k + e / 2][e % 2 * 2 + 1]);
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        packed[w][k] = Pack2<T>(z[0][w], z[1][w]);
        packed[w][k + 1] = Pack2<T>(z[2][w], z[3][w]);
      }
    }
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const int i = g + (w / 2) * 8, n = 2 * q + w % 2;
      StoreShared16(staging + (((n * 16 + i) * 4 + (group ^ ((i >> 1 ^ n >> 1) & 3))) << 4),
                    make_uint4(packed[w][0], packed[w][1], packed[w][2], packed[w][3]));
    }
  }
  __syncwarp();
  // 64 bytes of 8 rows (n, i) a turn; four turns in flight.
  const int64_t row_stride = p.r, token_stride = row_stride * p.b_out;
  T* z = p.z + token0 * token_stride + g * row_stride + z_rank + q * 8;
  const bool rank_valid = q * 8 < ranks && z_rank + q * 8 < p.r;
  const int tokens = static_cast<int>(min(p.tokens - token0, int64_t{8}));
#pragma unroll
  for (int n0 = 0; n0 < 8; n0 += 2) {
    uint4 v[4];
#pragma unroll
    for (int turn = 0; turn < 4; ++turn) {
      const int n = n0 + turn / 2, i = g + turn % 2 * 8;
      v[turn] = LoadShared16(staging + (((n * 16 + i) * 4 + (q ^ ((i >> 1 ^ n >> 1) & 3))) << 4));
    }
#pragma unroll
    for (int turn = 0; turn < 4; ++turn) {
      const int n = n0 + turn / 2;
      if (rank_valid && n < tokens && g + turn % 2 * 8 < p.b_out)
        *reinterpret_cast<uint4*>(z + n * token_stride + turn % 2 * 8 * row_stride) = v[turn];
    }
  }
  __syncwarp();
}

// A member's way through its input blocks.
struct BlastCursor {
  int block, column, columns;  // block of the step, its first column, and how many of the block are left
  int members, p, in;
  __device__ __forceinline__ void Advance() {
    column += kTileK;
    columns -= kTileK;
    if (columns > 0) return;
    block += members;
    column = block * p;
    columns = min(p, in - column);
  }
  __device__ __forceinline__ bool BlockEnds() const { return columns <= kTileK; }
};

// Grid: x = cluster member fastest, then token tile, then rank tile. Dynamic shared memory: kStages stages, t
// of the owned ranks, and 1024 to align them.
template <class T, class Mma, int kStages>
__global__ void __launch_bounds__(Mma::kBlockThreads) BlastKernel(const __grid_constant__ BlastParams<T> p) {
#if !defined(BLOCKRANK_HAS_WGMMA)
  if constexpr (Mma::kAsync) {
    return;  // never chosen on this architecture
  } else
#endif
  {
    using Shape = BlastShape<Mma>;
    extern __shared__ uint8_t shared_bytes[];
    const uint32_t stages = (SharedAddress(shared_bytes) + 1023) & ~1023u;
    const uint32_t t = stages + kStages * Mma::kStageBytes;
    const int members = ClusterSize(), member = ClusterRank(), owned = Mma::kM / members;
    const int64_t tile = blockIdx.x / members, token_tiles = (p.tokens + Mma::kN - 1) / Mma::kN;
    const int64_t token0 = tile % token_tiles * Mma::kN, rank0 = tile / token_tiles * Mma::kM;
    ReleaseNextKernel();

    // Rows j ≥ b_in of t meet zeros of S, but must not hold NaN.
    for (int i = threadIdx.x; i < owned * (kMaxFusedBlocks - p.b_in) * (Mma::kN / 8);
         i += Mma::kBlockThreads) {
      const int row = i / (Mma::kN / 8), pads = kMaxFusedBlocks - p.b_in;
      StoreShared16(TAddress<Mma::kN>(t, row / pads, p.b_in + row % pads, i % (Mma::kN / 8)),
                    make_uint4(0, 0, 0, 0));
    }
    ClusterArrive();
    ClusterWait();  // every member has started: its shared memory may be written

    const int in = static_cast<int>(p.in), steps_per_block = (p.p + kTileK - 1) / kTileK;
    const int blocks = (p.b_in - member + members - 1) / members, last = member + (blocks - 1) * members;
    const int last_width = min(p.p, in - last * p.p);
    const int steps = blocks == 0 ? 0 : (blocks - 1) * steps_per_block + (last_width + kTileK - 1) / kTileK;
    float acc[Mma::kMI][Mma::kNI][4];
    ClearAccumulators<Mma>(acc);
    const BlastCursor cursor = {member, member * p.p, min(p.p, in - member * p.p), members, p.p, in};
    const auto end_block = [&](const BlastCursor& at) {
      SendT<T, Mma>(acc, t, at.block, owned);
      ClearAccumulators<Mma>(acc);
    };
    if constexpr (Mma::kAsync) {
      const auto load_weights = [&](const BlastCursor& at, uint32_t stage, uint32_t barrier) {
        CopyBox(stage, p.v_map, p.p - at.columns, at.block, static_cast<int>(rank0), barrier);
      };
      const auto load_inputs = [&](const BlastCursor& at, uint32_t stage, uint32_t barrier) {
        CopyBox(stage + Mma::kM * kTileRowBytes, p.x_map, p.p - at.columns, at.block,
                static_cast<int>(token0), barrier);
      };
      AsyncMainLoop<Mma, kStages>(acc, stages, steps, cursor, load_weights, load_inputs, end_block);
    } else {
      const TileLoader<T, Mma::kM, Mma::kThreads> weights(p.v + rank0 * p.in, p.in, p.r - rank0);
      const TileLoader<T, Mma::kN, Mma::kThreads> inputs(p.x + token0 * p.in, p.in, p.tokens - token0);
      const auto load_weights = [&](const BlastCursor& at, uint32_t stage) {
        weights.Load(stage, at.column, at.columns);
      };
      const auto load_inputs = [&](const BlastCursor& at, uint32_t stage) {
        inputs.Load(stage + Mma::kM * kTileRowBytes, at.column, at.columns);
      };
      SyncMainLoop<Mma, kStages>(acc, stages, steps, cursor, load_weights, load_inputs, end_block);
    }

    ClusterArrive();
    const uint32_t s = stages,
                   staging = stages + Shape::SBytes(owned) + threadIdx.x / 32 * Shape::kStagingBytes;
    const int64_t owned0 = rank0 + member * owned;
    TransposeS<T, Mma>(p, s, owned0, owned);
    ClusterWait();  // every t_j has arrived
    __syncthreads();

    const int ranks = min(owned, Shape::kStagedRanks), rank_groups = owned / ranks;
    if (threadIdx.x >= Mma::kThreads) return;
    for (int item = threadIdx.x / 32; item < rank_groups * (Mma::kN / 8); item += Mma::kWarps) {
      const int chunk = item % (Mma::kN / 8), first = item / (Mma::kN / 8) * ranks;
      if (token0 + chunk * 8 < p.tokens && owned0 + first < p.r)
        CoupleAndStore<T, Mma>(p, t, s, staging, first, ranks, owned0 + first, chunk, token0 + chunk * 8);
    }
  }
}

}  // namespace blockrank::cuda
