// What the parts of the library share: a layer with the limits of its device, and how a kernel is launched.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "blockrank_cuda.h"
#include "dispatch.h"

struct blockrank_cuda_plan {
  blockrank_cuda_layer layer;
  int64_t p, q;  // block sizes, ceil(in / b_in) and ceil(out / b_out)
  blockrank::cuda::Device device;
};

namespace blockrank::cuda {

using Plan = blockrank_cuda_plan;

// One enqueued call: where it goes and the scratch it may use.
struct Call {
  const Plan* plan;
  const blockrank_cuda_tensors* tensors;
  int64_t token0, tokens;  // the chunk of tokens
  void* workspace;
  cudaStream_t stream;
};

LayerShape ShapeOf(const Plan& plan);

// Elements of V, S and U.
struct FactorSizes {
  int64_t v, s, u;
};
FactorSizes SizesOf(const blockrank_cuda_layer& layer);

// Fills in what the loaded device code can do: less than the device can where only an older architecture's
// PTX was built.
cudaError_t ReadImage(Device* device);

// Tokens whose scratch stays in L2; the layer runs chunk by chunk.
int64_t TokensPerChunk(const Plan& plan, const Choice& choice, int64_t tokens);

// Enqueues the layer as `choice` says, chunk by chunk.
cudaError_t Enqueue(const Plan& plan, const Choice& choice, const blockrank_cuda_tensors& tensors,
                    int64_t tokens, void* workspace, cudaStream_t stream);

// The programs; each file loads its kernels in Prepare, so that a launch neither loads nor configures
// anything.
cudaError_t PrepareGeneral(const Plan& plan);
cudaError_t EnqueueGeneral(const Call& call);
cudaError_t EnqueueWiden(const Call& call, blockrank_cuda_tensors* wide, void* memory);
cudaError_t PrepareDecode(const Plan& plan);
cudaError_t EnqueueDecode(const Call& call);
cudaError_t PrepareTensor(const Plan& plan);
cudaError_t EnqueueTensorStage1(const Call& call, const Choice& choice, void* t);
cudaError_t EnqueueTensorStage2(const Call& call, const Choice& choice, const void* z);
cudaError_t PrepareBlast(const Plan& plan);
cudaError_t EnqueueBlastStage1(const Call& call, const Choice& choice);
cudaError_t EnqueueGeneralCoupling(const Call& call, const void* t, void* z);
constexpr int64_t kTensorCouplingBlocks = 16;  // b_in at most
cudaError_t PrepareTensorCoupling(const Plan& plan);
cudaError_t EnqueueTensorCoupling(const Call& call, const void* t, void* z);

// The tokens of a chunk within X and Y.
template <class T>
const T* InputOf(const Call& call) {
  return static_cast<const T*>(call.tensors->x) + call.token0 * call.plan->layer.in;
}
template <class T>
T* OutputOf(const Call& call) {
  return static_cast<T*>(call.tensors->y) + call.token0 * call.plan->layer.out;
}

// Launches with the attributes that the device has: programmatic dependent launch, and clusters where
// `cluster` > 1.
template <class... Params, class... Args>
cudaError_t LaunchKernel(const Call& call, void (*kernel)(Params...), dim3 grid, int threads,
                         size_t shared_bytes, int cluster, const Args&... args) {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = call.stream;
  config.attrs = attributes;
  if (call.plan->device.programmatic_launch && call.plan->layer.factors_may_change == 0) {
    attributes[config.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[config.numAttrs++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) {
    attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
    attributes[config.numAttrs].val.clusterDim.x = cluster;
    attributes[config.numAttrs].val.clusterDim.y = 1;
    attributes[config.numAttrs++].val.clusterDim.z = 1;
  }
  return cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
}

// Loads the kernel and lets it have that much dynamic shared memory. All kernels ask for the same split
// between L1 and shared memory: a multiprocessor that has to change it runs empty first, which would undo the
// overlap of neighbouring launches.
template <class Kernel>
cudaError_t PrepareKernel(Kernel* kernel, size_t shared_bytes) {
  const void* function = reinterpret_cast<const void*>(kernel);
  const cudaError_t error = cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout,
                                                 cudaSharedmemCarveoutMaxShared);
  if (error != cudaSuccess) return error;
  return cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(shared_bytes));
}

// f.operator()<T>() for X's 16-bit type.
template <class Function>
cudaError_t WithHalfType(const Plan& plan, Function f) {
  return plan.layer.io_type == BLOCKRANK_CUDA_FLOAT16 ? f.template operator()<__half>()
                                                      : f.template operator()<__nv_bfloat16>();
}

// Bias and activation of a plan.
template <class T, class E>
E EpilogueOf(const Call& call) {
  const blockrank_cuda_layer& layer = call.plan->layer;
  return {layer.bias == BLOCKRANK_CUDA_NO_BIAS ? nullptr : static_cast<const T*>(call.tensors->b),
          layer.bias == BLOCKRANK_CUDA_BIAS_VECTOR ? 1 : 0, layer.activation};
}

template <class S>
S ScalesOf(const Plan& plan, const void* values) {
  return {values, plan.layer.scale_type == BLOCKRANK_CUDA_FLOAT16};
}

}  // namespace blockrank::cuda

// Returns the error of a CUDA call from the enclosing function.
#define BLOCKRANK_RETURN_IF_ERROR(call)       \
  do {                                        \
    const cudaError_t error_ = (call);        \
    if (error_ != cudaSuccess) return error_; \
  } while (0)
