// Launches of general_kernel.cuh.
#include "general_kernel.cuh"
#include "plan.h"

namespace blockrank::cuda {
namespace {

constexpr int64_t kOneGroup = int64_t{1} << 62;

template <class TA, class TB, class TC>
cudaError_t LaunchGemm(const Call& call, const GeneralGemmParams<TA, TB, TC>& params, int64_t batches) {
  const int64_t n_tiles = (params.n + kGeneralTile - 1) / kGeneralTile,
                m_tiles = (params.m + kGeneralTile - 1) / kGeneralTile;
  const dim3 grid(static_cast<unsigned>(n_tiles * m_tiles), 1, static_cast<unsigned>(batches));
  return LaunchKernel(call, GeneralGemmKernel<TA, TB, TC>, grid, kGeneralThreads, 0, 1, params);
}

// t [tokens, b_in, r] (BLAST, low rank) or [tokens, b_out, b_in, r] (Monarch), float32.
template <class X, class F>
cudaError_t Stage1(const Call& call, float* t) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const int64_t rows = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_out * l.r : l.r, p = call.plan->p;
  GeneralGemmParams<X, F, float> g = {};
  g.a = InputOf<X>(call);
  g.a_row = l.in;
  g.a_batch = p;
  g.b = static_cast<const F*>(call.tensors->v);
  g.b_row = l.in;
  g.b_batch = p;
  g.c = t;
  g.c_row = rows * l.b_in;
  g.c_batch = l.r;
  g.c_column = 1;
  g.c_group = l.r;
  g.c_group_stride = l.b_in * l.r;
  g.m = call.tokens;
  g.n = g.n_total = rows;
  g.n_stride = 1;
  g.k = g.k_step = p;
  g.k_total = l.in;
  g.scales = ScalesOf<Scales>(*call.plan, call.tensors->v_scale);
  return LaunchGemm(call, g, l.b_in);
}

template <class X, class F>
cudaError_t Stage2(const Call& call, const float* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const bool interleaved = l.output_order == BLOCKRANK_CUDA_INTERLEAVED;
  const int64_t k = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_in * l.r : l.r, q = call.plan->q;
  GeneralGemmParams<float, F, X> g = {};
  g.a = z;
  g.a_row = l.b_out * k;
  g.a_batch = k;
  g.b = static_cast<const F*>(call.tensors->u);
  g.b_row = interleaved ? l.b_out * k : k;
  g.b_batch = interleaved ? k : q * k;
  g.c = OutputOf<X>(call);
  g.c_row = l.out;
  g.c_batch = interleaved ? 1 : q;
  g.c_column = interleaved ? l.b_out : 1;
  g.c_group = kOneGroup;
  g.m = call.tokens;
  g.n = q;
  g.n_total = l.out;
  g.n_step = g.c_batch;
  g.n_stride = g.c_column;
  g.k = g.k_total = k;
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
  const dim3 grid(static_cast<unsigned>(call.tokens), static_cast<unsigned>((l.r + 127) / 128));
  return LaunchKernel(call, CouplingKernel<TT, TS, TZ>, grid, 128, 0, 1, t,
                      static_cast<const TS*>(call.tensors->s), z, static_cast<int>(l.b_in),
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

template <class X, class F, class S>
cudaError_t PrepareTyped() {
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
  return WithTypes(plan.layer, [&]<class X, class F, class S>() { return PrepareTyped<X, F, S>(); });
}

cudaError_t EnqueueGeneral(const Call& call) {
  return WithTypes(call.plan->layer,
                   [&]<class X, class F, class S>() { return EnqueueTyped<X, F, S>(call); });
}

cudaError_t EnqueueGeneralCoupling(const Call& call, const void* t, void* z) {
  if (call.plan->layer.io_type == BLOCKRANK_CUDA_FLOAT16)
    return Coupling<__half, __half, __half>(call, static_cast<const __half*>(t), static_cast<__half*>(z));
  return Coupling<__nv_bfloat16, __nv_bfloat16, __nv_bfloat16>(call, static_cast<const __nv_bfloat16*>(t),
                                                               static_cast<__nv_bfloat16*>(z));
}

}  // namespace blockrank::cuda
