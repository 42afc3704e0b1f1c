// Launches of gemm_kernel.cuh: stage 1 without fusion, and stage 2.
#include <algorithm>
#include <climits>

#include "persistent_kernel.cuh"
#include "plan.h"
#include "tensor_map.h"

namespace blockrank::cuda {
namespace {

// f.operator()<Mma, kStages>() for a row of kGemmTiles; the template arguments repeat the row.
template <class T, class Function>
cudaError_t WithTile(int row, Function f) {
  switch (row) {
    case 3:
      return f.template operator()<MmaWarpgroup<T, 128, 128>, 3>();
    case 4:
      return f.template operator()<MmaWarpgroup<T, 128, 64>, 4>();
    case 5:
      return f.template operator()<MmaWarpgroup<T, 64, 64>, 4>();
    case 6:
      return f.template operator()<MmaSync<T, 128, 128>, 3>();
    case 7:
      return f.template operator()<MmaSync<T, 64, 64>, 4>();
    default:
      return cudaErrorInvalidValue;
  }
}
static_assert(kGemmTileCount == 8);

// The copy engine's view of both operands. All blocks are full here, so extents end them.
template <class T>
cudaError_t EncodeMaps(const Call& call, const GemmTile& tile, int64_t batches, GemmParams<T>& g) {
  const blockrank_cuda_type type = call.plan->layer.io_type;
  const TensorMapShape a = {g.a, g.k, batches, g.a_batch, g.tokens, g.a_row, 1, tile.m};
  BLOCKRANK_RETURN_IF_ERROR(EncodeTensorMap(a, type, &g.a_map.map));
  // Strides must not fall from one dimension to the next: rows of a block lie closer than blocks in U,
  // farther in V.
  g.b_batch_last = g.b_row < g.b_batch;
  const int rows = tile.n / std::max(tile.cluster, 1);
  const TensorMapShape by_row = {g.b, g.k, batches, g.b_batch, g.n, g.b_row, 1, rows};
  const TensorMapShape by_batch = {g.b, g.k, g.n, g.b_row, batches, g.b_batch, rows, 1};
  return EncodeTensorMap(g.b_batch_last ? by_batch : by_row, type, &g.b_map.map);
}

// f.operator()<N, kCluster>() for a row of kGemmTiles with a cluster.
template <class Function>
cudaError_t WithPersistent(int row, Function f) {
  switch (row) {
    case 0:
      return f.template operator()<256, 2>();
    case 1:
      return f.template operator()<128, 2>();
    case 2:
      return f.template operator()<128, 1>();
    default:
      return cudaErrorInvalidValue;
  }
}
constexpr int kPersistentRows = 3;

template <class T>
cudaError_t LaunchPersistent(const Call& call, int row, const GemmParams<T>& params) {
  const GemmTile& tile = kGemmTiles[row];
  return WithPersistent(row, [&]<int N, int kCluster>() {
    if (tile.n != N || tile.cluster != kCluster) return cudaErrorInvalidValue;
    const int64_t m = int64_t{kPersistentM} * kCluster;
    const int64_t tiles = ((params.tokens + m - 1) / m) * ((params.n + N - 1) / N) * params.batches;
    const int64_t clusters = std::min<int64_t>(tiles, call.plan->device.multiprocessors / kCluster);
    return LaunchKernel(call, PersistentGemmKernel<T, N, kCluster>,
                        dim3(static_cast<unsigned>(clusters * kCluster)), kPersistentThreads,
                        PersistentShape<N>::kSharedBytes, kCluster, params);
  });
}

// Blocks that share the k of a tile, so that few tiles with a long k fill the device: up to two on each
// multiprocessor, with four steps of k or more. Where tiles alone nearly fill it, splitting was slower.
int Splits(const Device& device, int64_t blocks, int64_t k) {
  constexpr int64_t kMinSteps = 4;
  const int64_t steps = (k + kTileK - 1) / kTileK;
  if (!device.programmatic_launch || 4 * blocks >= 3 * device.multiprocessors) return 1;
  int splits = 1;
  while (splits < 8 && blocks * splits <= device.multiprocessors && steps >= 2 * splits * kMinSteps)
    splits *= 2;
  return splits;
}

// Parts of the tokens that the persistent kernel takes one after the other, so that the next kernel finds the
// last one in L2: where t or z is larger than that, and the weights, read once a part, are small.
template <class T>
int Parts(const Device& device, const GemmParams<T>& p) {
  const int64_t weights = int64_t{p.n} * p.k * p.batches * 2,
                intermediate = p.tokens * std::max(p.n, p.k) * p.batches * 2;
  if (weights > device.l2_bytes / 8) return 1;
  return static_cast<int>(std::max<int64_t>(2 * intermediate / device.l2_bytes, 1));
}

template <class T>
cudaError_t LaunchGemm(const Call& call, int row, GemmParams<T>& params, int64_t batches) {
  if (kGemmTiles[row].wgmma) BLOCKRANK_RETURN_IF_ERROR(EncodeMaps(call, kGemmTiles[row], batches, params));
  params.batches = static_cast<int>(batches);
  params.parts = Parts(call.plan->device, params);
  if (row < kPersistentRows) return LaunchPersistent(call, row, params);
  return WithTile<T>(row, [&]<class Mma, int kStages>() {
    const GemmTile& tile = kGemmTiles[row];
    static_assert(Mma::kThreads <= 1024);
    if (tile.m != Mma::kM || tile.n != Mma::kN || tile.stages != kStages) return cudaErrorInvalidValue;
    const int64_t blocks = ((params.tokens + tile.m - 1) / tile.m) * ((params.n + tile.n - 1) / tile.n);
    const int splits = Splits(call.plan->device, blocks * batches, params.k);
    return LaunchKernel(call, GemmKernel<T, Mma, kStages>,
                        dim3(static_cast<unsigned>(blocks * splits), 1, static_cast<unsigned>(batches)),
                        Mma::kBlockThreads, SharedBytes(tile), splits, params);
  });
}

// t [tokens, b_in, r] (BLAST, low rank) or [tokens, b_out, b_in, r] (Monarch: already what stage 2 reads).
template <class T>
cudaError_t Stage1(const Call& call, const Choice& choice, T* t) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const int64_t rows = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_out * l.r : l.r, p = call.plan->p;
  GemmParams<T> g = {};
  g.a = InputOf<T>(call);
  g.a_row = l.in;
  g.a_batch = p;
  g.b = static_cast<const T*>(call.tensors->v);
  g.b_row = l.in;
  g.b_batch = p;
  g.c = t;
  g.c_row = rows * l.b_in;
  g.c_batch = l.r;
  g.c_column = 1;
  g.c_group = static_cast<int>(l.r);
  g.c_group_stride = l.b_in * l.r;
  g.tokens = call.tokens;
  g.n = g.n_total = static_cast<int>(rows);
  g.n_stride = 1;
  g.k = g.k_step = static_cast<int>(p);
  g.k_total = static_cast<int>(l.in);
  g.vector_store = true;
  return LaunchGemm(call, choice.stage1, g, l.b_in);
}

template <class T>
cudaError_t Stage2(const Call& call, const Choice& choice, const T* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const bool interleaved = l.output_order == BLOCKRANK_CUDA_INTERLEAVED;
  const int64_t k = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_in * l.r : l.r, q = call.plan->q;
  GemmParams<T> g = {};
  g.a = z;
  g.a_row = l.b_out * k;
  g.a_batch = k;
  g.b = static_cast<const T*>(call.tensors->u);
  g.b_row = interleaved ? l.b_out * k : k;
  g.b_batch = interleaved ? k : q * k;
  g.c = OutputOf<T>(call);
  g.c_row = l.out;
  g.c_batch = interleaved ? 1 : q;
  g.c_column = interleaved ? l.b_out : 1;
  g.c_group = INT_MAX;
  g.tokens = call.tokens;
  g.n = static_cast<int>(q);
  g.n_total = static_cast<int>(l.out);
  g.n_step = static_cast<int>(g.c_batch);
  g.n_stride = static_cast<int>(g.c_column);
  g.k = g.k_total = static_cast<int>(k);
  g.vector_store = !interleaved && l.out % 8 == 0 && (q % 8 == 0 || l.b_out == 1) &&
                   reinterpret_cast<uintptr_t>(call.tensors->y) % 16 == 0;
  g.is_output = true;
  g.epilogue = EpilogueOf<T, Epilogue<T>>(call);
  return LaunchGemm(call, choice.stage2, g, l.b_out);
}

template <class T>
cudaError_t PrepareTyped(const Plan& plan) {
  for (int row = 0; row < kGemmTileCount; ++row) {
    if (!CanUse(kGemmTiles[row], ShapeOf(plan), plan.device)) continue;
    if (row < kPersistentRows) {
      BLOCKRANK_RETURN_IF_ERROR(WithPersistent(row, [&]<int N, int kCluster>() {
        return PrepareKernel(PersistentGemmKernel<T, N, kCluster>, PersistentShape<N>::kSharedBytes);
      }));
    } else {
      BLOCKRANK_RETURN_IF_ERROR(WithTile<T>(row, [&]<class Mma, int kStages>() {
        return PrepareKernel(GemmKernel<T, Mma, kStages>, SharedBytes(kGemmTiles[row]));
      }));
    }
  }
  return cudaSuccess;
}

}  // namespace

cudaError_t PrepareTensor(const Plan& plan) {
  return plan.layer.io_type == BLOCKRANK_CUDA_FLOAT16 ? PrepareTyped<__half>(plan)
                                                      : PrepareTyped<__nv_bfloat16>(plan);
}

cudaError_t EnqueueTensorStage1(const Call& call, const Choice& choice, void* t) {
  return call.plan->layer.io_type == BLOCKRANK_CUDA_FLOAT16
             ? Stage1(call, choice, static_cast<__half*>(t))
             : Stage1(call, choice, static_cast<__nv_bfloat16*>(t));
}

cudaError_t EnqueueTensorStage2(const Call& call, const Choice& choice, const void* z) {
  return call.plan->layer.io_type == BLOCKRANK_CUDA_FLOAT16
             ? Stage2(call, choice, static_cast<const __half*>(z))
             : Stage2(call, choice, static_cast<const __nv_bfloat16*>(z));
}

}  // namespace blockrank::cuda
