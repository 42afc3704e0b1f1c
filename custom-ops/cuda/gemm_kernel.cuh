// One stage of a layer as a batched GEMM on tensor cores: C[batch] [tokens × rows] = A[batch] · B[batch]ᵀ.
// The same kernel is stage 1 of low rank, Monarch and unfused BLAST (batch = input block, C = t) and stage 2
// of all (batch = output block, C = Y in its final layout, with bias and activation): only the index map
// below differs.
#pragma once

#include "tile_mma.cuh"
#include "types.cuh"

namespace blockrank::cuda {

// Strides count elements; every one that separates rows of A or B is a multiple of 8 and every pointer
// 16-byte aligned.
template <class T>
struct GemmParams {
  const T* a;  // inputs: row = token
  int64_t a_row, a_batch;
  const T* b;  // weights: row = rank or output feature
  int64_t b_row, b_batch;
  T* c;  // element (m, n) of a batch: m·c_row + batch·c_batch + (n / c_group)·c_group_stride + (n %
         // c_group)·c_column
  int64_t c_row, c_batch, c_column, c_group_stride;
  int c_group;
  int64_t tokens;
  int n, n_total, n_step, n_stride;  // rows of a batch: min(n, ceil((n_total − batch·n_step) / n_stride))
  int k, k_total, k_step;            // columns of a batch: min(k, k_total − batch·k_step)
  bool vector_store;                 // 8 neighbours in n are 16 aligned bytes in C
  bool is_output;                    // apply the epilogue
  int batches;
  int parts;               // of the tokens, one after the other, in the persistent kernel
  TensorMap a_map, b_map;  // for wgmma tiles: (k, batch, row)
  bool b_batch_last;       // b_map is (k, row, batch)
  Epilogue<T> epilogue;
};

// Floats between rows of the staged tile: 8 more than its width, so that the writes of a warp touch all
// banks.
template <class Mma>
constexpr int kStagedRow = Mma::kN + 8;

// Accumulators to shared memory as [kM][kStagedRow] floats, so that the stores to global memory are whole
// rows.
template <class Mma>
__device__ __forceinline__ void StageOutput(const float (&acc)[Mma::kMI][Mma::kNI][4], float* staged) {
  const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int mi = 0; mi < Mma::kMI; ++mi)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float* row = staged + (Mma::Row() + mi * 16 + half * 8 + g) * kStagedRow<Mma> + Mma::Column() + 2 * t;
#pragma unroll
      for (int ni = 0; ni < Mma::kNI; ++ni)
        *reinterpret_cast<float2*>(row + ni * 8) =
            make_float2(acc[mi][ni][half * 2], acc[mi][ni][half * 2 + 1]);
    }
}

// 8 neighbouring columns of C that a thread owns: their place and their bias are worked out once, and it
// walks down the rows (per row, the divisions cost more than the GEMM of a short k).
template <class T>
class OutputColumns {
 public:
  __device__ OutputColumns(const GemmParams<T>& p, int batch, int n, int n_valid)
      : c_(p.c + batch * p.c_batch + n / p.c_group * p.c_group_stride + n % p.c_group * p.c_column),
        valid_(n_valid - n),
        whole_(p.vector_store && valid_ >= 8) {
    if (!p.is_output || p.epilogue.bias == nullptr) return;
    const int64_t feature = batch * p.c_batch + n * p.c_column;
#pragma unroll
    for (int e = 0; e < 8; ++e)
      if (e < valid_) bias_[e] = ToFloat(p.epilogue.bias[(feature + e * p.c_column) * p.epilogue.bias_step]);
  }

  // Bias, activation, rounding to T, and the stores of row m.
  template <bool kActivate>
  __device__ __forceinline__ void Store(const GemmParams<T>& p, float (&v)[8], int64_t m) const {
#pragma unroll
    for (int e = 0; e < 8; ++e) v[e] += bias_[e];
    if constexpr (kActivate) ActivateAll(v, p.epilogue.activation);
    T* c = c_ + m * p.c_row;
    if (whole_) {
      *reinterpret_cast<uint4*>(c) =
          make_uint4(Pack2<T>(v[0], v[1]), Pack2<T>(v[2], v[3]), Pack2<T>(v[4], v[5]), Pack2<T>(v[6], v[7]));
    } else {
#pragma unroll
      for (int e = 0; e < 8; ++e)
        if (e < valid_) c[e * p.c_column] = FromFloat<T>(v[e]);
    }
  }

 private:
  T* c_;
  int valid_;
  bool whole_;
  float bias_[8] = {};
};

// Rows of the tile, each summed over the blocks of the cluster in order; every block stores its share of
// them.
template <class T, class Mma, bool kActivate>
__device__ __forceinline__ void StoreOutput(const GemmParams<T>& p, uint32_t staged, int batch, int64_t m0,
                                            int n0, int n_valid) {
  constexpr int kChunks = Mma::kN / 8, kRowStep = Mma::kThreads / kChunks;
  const int splits = ClusterSize(), chunk = threadIdx.x % kChunks, n = n0 + chunk * 8;
  if (n >= n_valid) return;
  const OutputColumns<T> columns(p, batch, n, n_valid);
  const int rows = static_cast<int>(min(p.tokens - m0, static_cast<int64_t>(Mma::kM)));
#pragma unroll(kActivate ? 1 : 2)
  for (int row = threadIdx.x / kChunks + ClusterRank() * kRowStep; row < rows; row += splits * kRowStep) {
    const uint32_t source = staged + (row * kStagedRow<Mma> + chunk * 8) * 4;
    float v[8];
    LoadFloats8(v, source);
    if (splits > 1) {
#pragma unroll
      for (float& value : v) value = 0.0f;
#pragma unroll 1
      for (int member = 0; member < splits; ++member) {
        float part[8];
        LoadClusterFloats8(part, ClusterAddress(source, member));
#pragma unroll
        for (int e = 0; e < 8; ++e) v[e] += part[e];
      }
    }
    columns.template Store<kActivate>(p, v, m0 + row);
  }
}

struct GemmCursor {
  int column, columns;  // first column of the step, and how many are left
  __device__ __forceinline__ void Advance() {
    column += kTileK;
    columns -= kTileK;
  }
  __device__ __forceinline__ bool BlockEnds() const { return false; }
};

// Grid: x = block of a cluster fastest, then token tile, then tile of rows; z = batch. The blocks of a
// cluster share out the k of one tile. Dynamic shared memory: kStages stages + 1024 to align them.
template <class T, class Mma, int kStages>
__global__ void __launch_bounds__(Mma::kBlockThreads) GemmKernel(const __grid_constant__ GemmParams<T> p) {
#if !defined(BLOCKRANK_HAS_WGMMA)
  if constexpr (Mma::kAsync) {
    return;  // never chosen on this architecture
  } else
#endif
  {
    extern __shared__ uint8_t shared_bytes[];
    const uint32_t stages = (SharedAddress(shared_bytes) + 1023) & ~1023u;
    const int64_t token_tiles = (p.tokens + Mma::kM - 1) / Mma::kM;
    const int splits = ClusterSize();
    const int64_t tile = blockIdx.x / splits, m0 = tile % token_tiles * Mma::kM;
    const int n0 = static_cast<int>(tile / token_tiles) * Mma::kN, batch = blockIdx.z;
    const int n_valid = min(p.n, (p.n_total - batch * p.n_step + p.n_stride - 1) / p.n_stride);
    const int k = min(p.k, p.k_total - batch * p.k_step);
    ReleaseNextKernel();
    if (n0 >= n_valid) return;

    float acc[Mma::kMI][Mma::kNI][4];
    ClearAccumulators<Mma>(acc);
    const int all_steps = (k + kTileK - 1) / kTileK, each = (all_steps + splits - 1) / splits,
              first_step = min(ClusterRank() * each, all_steps), steps = min(each, all_steps - first_step);
    const GemmCursor cursor = {first_step * kTileK, k - first_step * kTileK};
    const auto ignore = [](const GemmCursor&) {};
    if constexpr (Mma::kAsync) {
      if (threadIdx.x == Mma::kThreads) {
        PrefetchMap(p.b_map);
        PrefetchMap(p.a_map);
      }
      const auto load_weights = [&](const GemmCursor& at, uint32_t stage, uint32_t barrier) {
        CopyBox(stage + Mma::kM * kTileRowBytes, p.b_map, at.column, p.b_batch_last ? n0 : batch,
                p.b_batch_last ? batch : n0, barrier);
      };
      const auto load_inputs = [&](const GemmCursor& at, uint32_t stage, uint32_t barrier) {
        CopyBox(stage, p.a_map, at.column, batch, static_cast<int>(m0), barrier);
      };
      AsyncMainLoop<Mma, kStages>(acc, stages, steps, cursor, load_weights, load_inputs, ignore);
      WaitForPreviousKernel();  // only the feeding warp has: the epilogue reads the bias
    } else {
      const TileLoader<T, Mma::kM, Mma::kThreads> inputs(p.a + m0 * p.a_row + batch * p.a_batch, p.a_row,
                                                         p.tokens - m0);
      const TileLoader<T, Mma::kN, Mma::kThreads> weights(p.b + n0 * p.b_row + batch * p.b_batch, p.b_row,
                                                          n_valid - n0);
      const auto load_weights = [&](const GemmCursor& at, uint32_t stage) {
        weights.Load(stage + Mma::kM * kTileRowBytes, at.column, at.columns);
      };
      const auto load_inputs = [&](const GemmCursor& at, uint32_t stage) {
        inputs.Load(stage, at.column, at.columns);
      };
      SyncMainLoop<Mma, kStages>(acc, stages, steps, cursor, load_weights, load_inputs, ignore);
    }
    static_assert(Mma::kM * kStagedRow<Mma> * 4 <= kStages * Mma::kStageBytes);
    if (threadIdx.x < Mma::kThreads)
      StageOutput<Mma>(acc, reinterpret_cast<float*>(shared_bytes + (stages - SharedAddress(shared_bytes))));
    if (splits > 1) {
      ClusterArrive();
      ClusterWait();
    } else {
      __syncthreads();
    }
    if (threadIdx.x < Mma::kThreads) {
      if (p.is_output && p.epilogue.activation != BLOCKRANK_CUDA_NONE) {
        StoreOutput<T, Mma, true>(p, stages, batch, m0, n0, n_valid);
      } else {
        StoreOutput<T, Mma, false>(p, stages, batch, m0, n0, n_valid);
      }
    }
    if (splits > 1) {  // no block leaves while another reads its part
      __syncwarp();
      ClusterArrive();
      ClusterWait();
    }
  }
}

}  // namespace blockrank::cuda
