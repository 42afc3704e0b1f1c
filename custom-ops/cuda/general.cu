// Launches of general_kernel.cuh.
#include <algorithm>

#include "float_kernel.cuh"
#include "stages.h"

namespace blockrank::cuda {
namespace {

using FloatParams = GeneralGemmParams<float, float, float>;
using LargeTile = FloatTile<128, 128>;
using SmallTile = FloatTile<64, 64>;

// What the float32 tiles copy by 16 bytes.
bool IsAligned(const FloatParams& g) {
  return (reinterpret_cast<uintptr_t>(g.a) | reinterpret_cast<uintptr_t>(g.b)) % 16 == 0 &&
         (g.a_row | g.a_batch | g.b_row | g.b_batch | g.k | g.k_total | g.k_step) % 4 == 0;
}

// f.operator()<Tile, Products>(): tf32 or not.
template <class Tile, class Function>
cudaError_t WithProducts(const Plan& plan, Function f) {
  return plan.layer.allow_tf32 != 0 ? f.template operator()<Tile, TensorFloat32<Tile>>()
                                    : f.template operator()<Tile, CudaCores<Tile>>();
}

template <class Tile>
cudaError_t LaunchFloat(const Call& call, const FloatParams& params, int64_t batches) {
  const int64_t tiles = ((params.m + Tile::kM - 1) / Tile::kM) * ((params.n + Tile::kN - 1) / Tile::kN);
  const dim3 grid(static_cast<unsigned>(tiles), 1, static_cast<unsigned>(batches));
  return WithProducts<Tile>(*call.plan, [&]<class, class Products>() {
    return LaunchKernel(call, FloatGemmKernel<Tile, Products>, grid, Tile::kThreads, Tile::kSharedBytes, 1,
                        params);
  });
}

cudaError_t LaunchFloat(const Call& call, const FloatParams& params, int64_t batches) {
  const int64_t large = ((params.m + 127) / 128) * ((params.n + 127) / 128) * batches;
  return large >= call.plan->device.multiprocessors &&
                 LargeTile::kSharedBytes <= call.plan->device.shared_bytes
             ? LaunchFloat<LargeTile>(call, params, batches)
             : LaunchFloat<SmallTile>(call, params, batches);
}

template <class TA, class TB, class TC>
cudaError_t LaunchGemm(const Call& call, const GeneralGemmParams<TA, TB, TC>& params, int64_t batches) {
  if constexpr (std::is_same_v<GeneralGemmParams<TA, TB, TC>, FloatParams>)
    if (IsAligned(params)) return LaunchFloat(call, params, batches);
  const int64_t n_tiles = (params.n + kGeneralTile - 1) / kGeneralTile,
                m_tiles = (params.m + kGeneralTile - 1) / kGeneralTile;
  const dim3 grid(static_cast<unsigned>(n_tiles * m_tiles), 1, static_cast<unsigned>(batches));
  return LaunchKernel(call, GeneralGemmKernel<TA, TB, TC>, grid, kGeneralThreads, 0, 1, params);
}

template <class X, class F>
cudaError_t Stage1(const Call& call, float* t) {
  GeneralGemmParams<X, F, float> g = {};
  DescribeStage1(*call.plan, g);
  g.a = InputOf<X>(call);
  g.b = static_cast<const F*>(call.tensors->v);
  g.c = t;
  g.m = call.tokens;
  g.scales = ScalesOf<Scales>(*call.plan, call.tensors->v_scale);
  return LaunchGemm(call, g, call.plan->layer.b_in);
}

template <class X, class F>
cudaError_t Stage2(const Call& call, const float* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  GeneralGemmParams<float, F, X> g = {};
  DescribeStage2(*call.plan, g);
  g.a = z;
  g.b = static_cast<const F*>(call.tensors->u);
  g.c = OutputOf<X>(call);
  g.m = call.tokens;
  g.epilogue = EpilogueOf<X, Epilogue<X>>(call);
  g.scales = ScalesOf<Scales>(*call.plan, call.tensors->u_scale);
  if (l.structure == BLOCKRANK_CUDA_MONARCH && g.scales.values != nullptr) {
    g.scale_columns = l.r;
    g.scales_per_row = l.b_in;
  }
  return LaunchGemm(call, g, l.b_out);
}

template <class TT, class TS, class TZ>
cudaError_t Coupling(const Call& call, const TT* t, TZ* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const int64_t groups = (call.tokens + kCouplingTokens - 1) / kCouplingTokens, tiles = (l.r + 127) / 128;
  // Rows i are shared out too where tokens and ranks alone leave multiprocessors idle.
  const int64_t runs =
      std::clamp<int64_t>(4 * call.plan->device.multiprocessors / (groups * tiles), 1, l.b_out);
  const dim3 grid(static_cast<unsigned>(groups), static_cast<unsigned>(tiles), static_cast<unsigned>(runs));
  return LaunchKernel(call, CouplingKernel<TT, TS, TZ>, grid, 128, 0, 1, t,
                      static_cast<const TS*>(call.tensors->s), z, call.tokens, static_cast<int>(l.b_in),
                      static_cast<int>(l.b_out), l.r);
}

template <class X, class F, class S>
cudaError_t EnqueueTyped(const Call& call) {
  const blockrank_cuda_layer& l = call.plan->layer;
  float* t = static_cast<float*>(call.workspace);
  float* z = t;
  BLOCKRANK_RETURN_IF_ERROR((Stage1<X, F>(call, t)));
  if (l.structure == BLOCKRANK_CUDA_BLAST) {
    z = t + call.tokens * l.b_in * l.r;
    BLOCKRANK_RETURN_IF_ERROR((Coupling<float, S, float>(call, t, z)));
  }
  return Stage2<X, F>(call, z);
}

cudaError_t PrepareFloat(const Plan& plan) {
  const auto prepare = [&]<class Tile, class Products>() {
    return PrepareKernel(FloatGemmKernel<Tile, Products>, Tile::kSharedBytes);
  };
  if (LargeTile::kSharedBytes <= plan.device.shared_bytes)
    BLOCKRANK_RETURN_IF_ERROR(WithProducts<LargeTile>(plan, prepare));
  return WithProducts<SmallTile>(plan, prepare);
}

template <class X, class F, class S>
cudaError_t PrepareTyped(const Plan& plan) {
  if constexpr (std::is_same_v<X, float> && std::is_same_v<F, float>)
    BLOCKRANK_RETURN_IF_ERROR(PrepareFloat(plan));
  BLOCKRANK_RETURN_IF_ERROR(PrepareKernel(GeneralGemmKernel<X, F, float>, 0));
  BLOCKRANK_RETURN_IF_ERROR(PrepareKernel(GeneralGemmKernel<float, F, X>, 0));
  return PrepareKernel(CouplingKernel<float, S, float>, 0);
}

// f.operator()<X, F, S>() for the plan's types: of X, of V and U, of S.
template <class Function>
cudaError_t WithTypes(const blockrank_cuda_layer& layer, Function f) {
  const auto with_factor = [&]<class X>() {
    switch (layer.factor_type) {
      case BLOCKRANK_CUDA_FLOAT16:
        return f.template operator()<X, __half, __half>();
      case BLOCKRANK_CUDA_BFLOAT16:
        return f.template operator()<X, __nv_bfloat16, __nv_bfloat16>();
      case BLOCKRANK_CUDA_INT8:
        return layer.scale_type == BLOCKRANK_CUDA_FLOAT16 ? f.template operator()<X, int8_t, __half>()
                                                          : f.template operator()<X, int8_t, float>();
      default:
        return f.template operator()<X, float, float>();
    }
  };
  switch (layer.io_type) {
    case BLOCKRANK_CUDA_FLOAT16:
      return with_factor.template operator()<__half>();
    case BLOCKRANK_CUDA_BFLOAT16:
      return with_factor.template operator()<__nv_bfloat16>();
    default:
      return with_factor.template operator()<float>();
  }
}

}  // namespace

cudaError_t PrepareGeneral(const Plan& plan) {
  if (plan.layer.io_type == BLOCKRANK_CUDA_FLOAT16)
    BLOCKRANK_RETURN_IF_ERROR(PrepareKernel(CouplingKernel<__half, __half, __half>, 0));
  if (plan.layer.io_type == BLOCKRANK_CUDA_BFLOAT16)
    BLOCKRANK_RETURN_IF_ERROR(PrepareKernel(CouplingKernel<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16>, 0));
  return WithTypes(plan.layer, [&]<class X, class F, class S>() { return PrepareTyped<X, F, S>(plan); });
}

cudaError_t EnqueueGeneral(const Call& call) {
  return WithTypes(call.plan->layer,
                   [&]<class X, class F, class S>() { return EnqueueTyped<X, F, S>(call); });
}

cudaError_t EnqueueGeneralCoupling(const Call& call, const void* t, void* z) {
  return WithHalfType(*call.plan, [&]<class T>() {
    return Coupling<T, T, T>(call, static_cast<const T*>(t), static_cast<T*>(z));
  });
}

}  // namespace blockrank::cuda
