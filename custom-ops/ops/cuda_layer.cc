#include "ops/cuda_layer.h"

namespace blockrank {
namespace {

blockrank_cuda_structure CudaStructure(Structure structure) {
  return structure == Structure::kBlast     ? BLOCKRANK_CUDA_BLAST
         : structure == Structure::kMonarch ? BLOCKRANK_CUDA_MONARCH
                                            : BLOCKRANK_CUDA_LOW_RANK;
}

blockrank_cuda_type CudaType(DType type) {
  return type == DType::kFloat32   ? BLOCKRANK_CUDA_FLOAT32
         : type == DType::kFloat16 ? BLOCKRANK_CUDA_FLOAT16
         : type == DType::kInt8    ? BLOCKRANK_CUDA_INT8
                                   : BLOCKRANK_CUDA_BFLOAT16;
}

blockrank_cuda_activation CudaActivation(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return BLOCKRANK_CUDA_NONE;
    case Activation::kRelu:
      return BLOCKRANK_CUDA_RELU;
    case Activation::kGelu:
      return BLOCKRANK_CUDA_GELU;
    case Activation::kGeluTanh:
      return BLOCKRANK_CUDA_GELU_TANH;
    case Activation::kSilu:
      return BLOCKRANK_CUDA_SILU;
  }
  return BLOCKRANK_CUDA_NONE;
}

blockrank_cuda_bias CudaBias(const Problem& problem) {
  if (problem.bias_size == 0) return BLOCKRANK_CUDA_NO_BIAS;
  return problem.bias_size == problem.dims.out ? BLOCKRANK_CUDA_BIAS_VECTOR : BLOCKRANK_CUDA_BIAS_SCALAR;
}

}  // namespace

blockrank_cuda_layer CudaLayer(const Problem& problem, int device, bool factors_may_change) {
  blockrank_cuda_layer layer = {};
  layer.abi_version = BLOCKRANK_CUDA_ABI_VERSION;
  layer.device = device;
  layer.structure = CudaStructure(problem.structure);
  layer.io_type = CudaType(problem.x_type);
  layer.factor_type = CudaType(problem.factor_type);
  layer.scale_type = CudaType(problem.scale_type);
  layer.activation = CudaActivation(problem.activation);
  layer.output_order =
      problem.order == OutputOrder::kInterleaved ? BLOCKRANK_CUDA_INTERLEAVED : BLOCKRANK_CUDA_CONTIGUOUS;
  layer.bias = CudaBias(problem);
  layer.in = problem.dims.in;
  layer.out = problem.dims.out;
  layer.b_in = problem.dims.b_in;
  layer.b_out = problem.dims.b_out;
  layer.r = problem.dims.rank;
  layer.factors_may_change = factors_may_change;
  layer.allow_tf32 = problem.compute == Compute::kBFloat16;  // tf32 keeps 3 bits more
  return layer;
}

std::string Show(const Problem& problem) {
  const Dims& d = problem.dims;
  return "in " + std::to_string(d.in) + ", out " + std::to_string(d.out) + ", b_in " +
         std::to_string(d.b_in) + ", b_out " + std::to_string(d.b_out) + ", r " + std::to_string(d.rank) +
         ", " + NameOf(problem.x_type) + " with " + NameOf(problem.factor_type) + " factors" +
         (problem.tokens > 0 ? ", " + std::to_string(problem.tokens) + " tokens" : "");
}

}  // namespace blockrank
