// Launches of coupling_kernel.cuh.
#include <algorithm>

#include "coupling_kernel.cuh"
#include "plan.h"

namespace blockrank::cuda {
namespace {

template <class T>
cudaError_t EnqueueTyped(const Call& call, const T* t, T* z) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t rank_tiles = ceil_div(l.r, kCouplingRanks), row_tiles = ceil_div(l.b_out, kCouplingBlocks);
  const int64_t groups = ceil_div(call.tokens, 8);
  // One wave of two blocks a multiprocessor, so that the groups of a block share S in registers.
  const int64_t runs = std::max<int64_t>(2 * call.plan->device.multiprocessors / (rank_tiles * row_tiles), 1);
  const CouplingParams<T> params = {t,
                                    static_cast<const T*>(call.tensors->s),
                                    z,
                                    call.tokens,
                                    static_cast<int>(l.b_in),
                                    static_cast<int>(l.b_out),
                                    static_cast<int>(l.r)};
  const dim3 grid(static_cast<unsigned>(rank_tiles), static_cast<unsigned>(std::min(groups, runs)),
                  static_cast<unsigned>(row_tiles));
  return LaunchKernel(call, TensorCouplingKernel<T>, grid, kCouplingThreads, kCouplingSharedBytes, 1, params);
}

}  // namespace

cudaError_t PrepareTensorCoupling(const Plan& plan) {
  return plan.layer.io_type == BLOCKRANK_CUDA_FLOAT16
             ? PrepareKernel(TensorCouplingKernel<__half>, kCouplingSharedBytes)
             : PrepareKernel(TensorCouplingKernel<__nv_bfloat16>, kCouplingSharedBytes);
}

cudaError_t EnqueueTensorCoupling(const Call& call, const void* t, void* z) {
  return call.plan->layer.io_type == BLOCKRANK_CUDA_FLOAT16
             ? EnqueueTyped(call, static_cast<const __half*>(t), static_cast<__half*>(z))
             : EnqueueTyped(call, static_cast<const __nv_bfloat16*>(t), static_cast<__nv_bfloat16*>(z));
}

}  // namespace blockrank::cuda
