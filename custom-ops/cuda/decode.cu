// Launches of decode_kernel.cuh.
#include <algorithm>

#include "decode_kernel.cuh"
#include "plan.h"

namespace blockrank::cuda {
namespace {

static_assert(kDecodeTokens == kDecodeMaxTokens);
static_assert(DecodeSharedBytes({3, 5, true, 2, 2}) == kDecodeRingBytes +
                                                           (3 * 3 + kDecodeWarps) * 2 * kDecodeRows * 4 +
                                                           8 * 4 + 3 * 5 * kDecodeRows * 2);

DecodeShared SharedOf(const Plan& plan, int64_t tokens) {
  const blockrank_cuda_layer& l = plan.layer;
  const bool int8 = l.factor_type == BLOCKRANK_CUDA_INT8;
  return {l.b_in, l.b_out, l.structure == BLOCKRANK_CUDA_BLAST, tokens,
          int8 && l.scale_type == BLOCKRANK_CUDA_FLOAT32 ? 4 : 2};
}

// Blocks that share a row group's columns: doubled while all of them fit the multiprocessors at once, two on
// each, and a block's share of V is not small.
int Members(const Plan& plan, int groups, int64_t row_bytes) {
  constexpr int64_t kSmallShare = 24 << 10;
  if (!plan.device.programmatic_launch) return 1;
  int members = 1;
  while (members < 8 && groups * members <= plan.device.multiprocessors &&
         row_bytes * kDecodeRows > kSmallShare * members)
    members *= 2;
  return members;
}

template <class T, class W, class S>
cudaError_t Stage1(const Call& call, T* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  DecodeStage1Params<T, W, S> d = {};
  d.x = InputOf<T>(call);
  d.v = static_cast<const W*>(call.tensors->v);
  d.v_scale = ScalesOf<Scales>(*call.plan, call.tensors->v_scale);
  d.s = static_cast<const S*>(call.tensors->s);
  d.z = z;
  d.tokens = static_cast<int>(call.tokens);
  d.b_in = static_cast<int>(l.b_in);
  d.b_out = static_cast<int>(l.b_out);
  d.p = static_cast<int>(call.plan->p);
  d.r = static_cast<int>(l.r);
  d.rows = static_cast<int>(l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_out * l.r : l.r);
  d.in = l.in;
  const int groups = d.rows / kDecodeRows, members = Members(*call.plan, groups, l.in * sizeof(W));
  return LaunchKernel(call, DecodeStage1Kernel<T, W, S>, dim3(groups * members), kDecodeWarps * 32,
                      DecodeSharedBytes(SharedOf(*call.plan, call.tokens)), members, d);
}

// Warps per row group: as few as give every multiprocessor a block, since splitting costs a reduction.
int Splits(const Plan& plan, int groups) {
  int splits = 1;
  while (splits < kDecodeWarps && groups * splits < kDecodeWarps * plan.device.multiprocessors) splits *= 2;
  return splits;
}

template <class T, class W>
cudaError_t Stage2(const Call& call, const T* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const bool monarch = l.structure == BLOCKRANK_CUDA_MONARCH, scaled = call.tensors->u_scale != nullptr;
  DecodeStage2Params<T, W> d = {};
  d.z = z;
  d.u = static_cast<const W*>(call.tensors->u);
  d.u_scale = ScalesOf<Scales>(*call.plan, call.tensors->u_scale);
  d.y = OutputOf<T>(call);
  d.out = l.out;
  d.tokens = static_cast<int>(call.tokens);
  d.b_out = static_cast<int>(l.b_out);
  d.q = static_cast<int>(call.plan->q);
  d.b = monarch && scaled ? static_cast<int>(l.b_in) : 1;
  d.p = static_cast<int>(monarch && !scaled ? l.b_in * l.r : l.r);
  d.row_stride = l.output_order == BLOCKRANK_CUDA_INTERLEAVED ? d.b_out : 1;
  d.groups_per_block = (d.q + kDecodeRows - 1) / kDecodeRows;
  const int groups = d.groups_per_block * d.b_out;
  d.splits = Splits(*call.plan, groups);
  d.epilogue = EpilogueOf<T, Epilogue<T>>(call);
  const int groups_per_cta = kDecodeWarps / d.splits;
  return LaunchKernel(call, DecodeStage2Kernel<T, W>, dim3((groups + groups_per_cta - 1) / groups_per_cta),
                      kDecodeWarps * 32, kDecodeRingBytes, 1, d);
}

// f.operator()<T, W, S>() for the plan's types: S is T beside 16-bit factors, float32 or float16 beside int8.
template <class Function>
cudaError_t WithTypes(const blockrank_cuda_layer& l, Function f) {
  const auto with_factor = [&]<class T>() {
    if (l.factor_type != BLOCKRANK_CUDA_INT8) return f.template operator()<T, T, T>();
    return l.scale_type == BLOCKRANK_CUDA_FLOAT32 ? f.template operator()<T, int8_t, float>()
                                                  : f.template operator()<T, int8_t, __half>();
  };
  return l.io_type == BLOCKRANK_CUDA_FLOAT16 ? with_factor.template operator()<__half>()
                                             : with_factor.template operator()<__nv_bfloat16>();
}

}  // namespace

cudaError_t PrepareDecode(const Plan& plan) {
  // A kernel is shared by all plans: its limit must hold for the largest of them.
  return WithTypes(plan.layer, [&]<class T, class W, class S>() {
    BLOCKRANK_RETURN_IF_ERROR(PrepareKernel(DecodeStage1Kernel<T, W, S>, plan.device.shared_bytes));
    return PrepareKernel(DecodeStage2Kernel<T, W>, kDecodeRingBytes);
  });
}

cudaError_t EnqueueDecode(const Call& call) {
  return WithTypes(call.plan->layer, [&]<class T, class W, class S>() {
    T* z = static_cast<T*>(call.workspace);
    BLOCKRANK_RETURN_IF_ERROR((Stage1<T, W, S>(call, z)));
    return Stage2<T, W>(call, z);
  });
}

}  // namespace blockrank::cuda
