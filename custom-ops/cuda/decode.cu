// Launches of decode_kernel.cuh.
#include <algorithm>

#include "decode_kernel.cuh"
#include "plan.h"

namespace blockrank::cuda {
namespace {

static_assert(kDecodeRingBytes == kDecodeRingSharedBytes);
static_assert(DecodeSharedBytes(3, 5, true) == kDecodeRingBytes +
                                                   (2 * 3 + kDecodeWarps) * kDecodeTokens * kDecodeRows * 4 +
                                                   3 * 5 * kDecodeRows * 2);

template <class T>
cudaError_t Stage1(const Call& call, T* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  DecodeStage1Params<T> d = {};
  d.x = InputOf<T>(call);
  d.v = static_cast<const T*>(call.tensors->v);
  d.s = static_cast<const T*>(call.tensors->s);
  d.z = z;
  d.tokens = static_cast<int>(call.tokens);
  d.b_in = static_cast<int>(l.b_in);
  d.b_out = static_cast<int>(l.b_out);
  d.p = static_cast<int>(call.plan->p);
  d.r = static_cast<int>(l.r);
  d.rows = static_cast<int>(l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_out * l.r : l.r);
  d.in = l.in;
  return LaunchKernel(call, DecodeStage1Kernel<T>, dim3(d.rows / kDecodeRows), kDecodeWarps * 32,
                      DecodeSharedBytes(l.b_in, l.b_out, d.s != nullptr), 1, d);
}

// Warps per row group: as few as give every multiprocessor a block, since splitting costs a reduction.
int Splits(const Plan& plan, int groups) {
  int splits = 1;
  while (splits < kDecodeWarps && groups * splits < kDecodeWarps * plan.device.multiprocessors) splits *= 2;
  return splits;
}

template <class T>
cudaError_t Stage2(const Call& call, const T* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  DecodeStage2Params<T> d = {};
  d.z = z;
  d.u = static_cast<const T*>(call.tensors->u);
  d.y = OutputOf<T>(call);
  d.out = l.out;
  d.tokens = static_cast<int>(call.tokens);
  d.b_out = static_cast<int>(l.b_out);
  d.q = static_cast<int>(call.plan->q);
  d.k = static_cast<int>(l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_in * l.r : l.r);
  d.row_stride = l.output_order == BLOCKRANK_CUDA_INTERLEAVED ? d.b_out : 1;
  d.groups_per_block = (d.q + kDecodeRows - 1) / kDecodeRows;
  const int groups = d.groups_per_block * d.b_out;
  d.splits = Splits(*call.plan, groups);
  d.epilogue = EpilogueOf<T, Epilogue<T>>(call);
  const int groups_per_cta = kDecodeWarps / d.splits;
  return LaunchKernel(call, DecodeStage2Kernel<T>, dim3((groups + groups_per_cta - 1) / groups_per_cta),
                      kDecodeWarps * 32, kDecodeRingBytes, 1, d);
}

template <class T>
cudaError_t EnqueueTyped(const Call& call) {
  T* z = static_cast<T*>(call.workspace);
  BLOCKRANK_RETURN_IF_ERROR(Stage1<T>(call, z));
  return Stage2<T>(call, z);
}

template <class T>
cudaError_t PrepareTyped(const Plan& plan) {
  // A kernel is shared by all plans: its limit must hold for the largest of them.
  BLOCKRANK_RETURN_IF_ERROR(PrepareKernel(DecodeStage1Kernel<T>, plan.device.shared_bytes));
  return PrepareKernel(DecodeStage2Kernel<T>, kDecodeRingBytes);
}

}  // namespace

cudaError_t PrepareDecode(const Plan& plan) {
  return plan.layer.io_type == BLOCKRANK_CUDA_FLOAT16 ? PrepareTyped<__half>(plan)
                                                      : PrepareTyped<__nv_bfloat16>(plan);
}

cudaError_t EnqueueDecode(const Call& call) {
  return call.plan->layer.io_type == BLOCKRANK_CUDA_FLOAT16 ? EnqueueTyped<__half>(call)
                                                            : EnqueueTyped<__nv_bfloat16>(call);
}

}  // namespace blockrank::cuda
