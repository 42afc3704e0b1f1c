// Launches of blast_kernel.cuh.
#include "blast_kernel.cuh"
#include "plan.h"
#include "tensor_map.h"

namespace blockrank::cuda {
namespace {

// f.operator()<Mma, kStages>() for a row of kBlastTiles; the template arguments repeat the row.
template <class T, class Function>
cudaError_t WithTile(int row, Function f) {
  switch (row) {
    case 0:
      return f.template operator()<MmaWarpgroup<T, 64, 32>, 4>();
    case 1:
      return f.template operator()<MmaSync<T, 64, 64>, 4>();
    default:
      return cudaErrorInvalidValue;
  }
}
static_assert(kBlastTileCount == 2);

template <class T>
cudaError_t EnqueueTyped(const Call& call, int row) {
  const blockrank_cuda_layer& l = call.plan->layer;
  BlastParams<T> params = {InputOf<T>(call),
                           static_cast<const T*>(call.tensors->v),
                           static_cast<const T*>(call.tensors->s),
                           static_cast<T*>(call.workspace),
                           call.tokens,
                           l.in,
                           static_cast<int>(l.b_in),
                           static_cast<int>(l.b_out),
                           static_cast<int>(call.plan->p),
                           static_cast<int>(l.r),
                           {},
                           {}};
  const BlastTile& tile = kBlastTiles[row];
  if (tile.wgmma) {
    const TensorMapShape v = {params.v, params.p, l.b_in, params.p, l.r, l.in, 1, tile.m};
    const TensorMapShape x = {params.x, params.p, l.b_in, params.p, call.tokens, l.in, 1, tile.n};
    BLOCKRANK_RETURN_IF_ERROR(EncodeTensorMap(v, l.io_type, &params.v_map.map));
    BLOCKRANK_RETURN_IF_ERROR(EncodeTensorMap(x, l.io_type, &params.x_map.map));
  }
  return WithTile<T>(row, [&]<class Mma, int kStages>() {
    if (tile.m != Mma::kM || tile.n != Mma::kN || tile.stages != kStages) return cudaErrorInvalidValue;
    const int owned = tile.m / tile.cluster;
    // The coupling's S and staging live in the stages.
    if (BlastShape<Mma>::SBytes(owned) + Mma::kWarps * BlastShape<Mma>::kStagingBytes >
        kStages * Mma::kStageBytes)
      return cudaErrorInvalidValue;
    const int64_t tiles = ((call.tokens + tile.n - 1) / tile.n) * ((l.r + tile.m - 1) / tile.m);
    return LaunchKernel(call, BlastKernel<T, Mma, kStages>, dim3(static_cast<unsigned>(tiles * tile.cluster)),
                        Mma::kBlockThreads, SharedBytes(tile), tile.cluster, params);
  });
}

template <class T>
cudaError_t PrepareTyped(const Plan& plan) {
  for (int row = 0; row < kBlastTileCount; ++row)
    if (CanUse(kBlastTiles[row], ShapeOf(plan), plan.device))
      BLOCKRANK_RETURN_IF_ERROR(WithTile<T>(row, [&]<class Mma, int kStages>() {
        return PrepareKernel(BlastKernel<T, Mma, kStages>, SharedBytes(kBlastTiles[row]));
      }));
  return cudaSuccess;
}

}  // namespace

cudaError_t PrepareBlast(const Plan& plan) {
  return WithHalfType(plan, [&]<class T>() { return PrepareTyped<T>(plan); });
}

cudaError_t EnqueueBlastStage1(const Call& call, const Choice& choice) {
  return WithHalfType(*call.plan, [&]<class T>() { return EnqueueTyped<T>(call, choice.stage1); });
}

}  // namespace blockrank::cuda
