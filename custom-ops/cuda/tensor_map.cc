#include "tensor_map.h"

namespace blockrank::cuda {
namespace {

using EncodeFunction = decltype(&cuTensorMapEncodeTiled);

EncodeFunction FindEncode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
  return error == cudaSuccess && found == cudaDriverEntryPointSuccess
             ? reinterpret_cast<EncodeFunction>(function)
             : nullptr;
}

}  // namespace

cudaError_t EncodeTensorMap(const TensorMapShape& shape, blockrank_cuda_type type, CUtensorMap* map) {
  static const EncodeFunction encode = FindEncode();
  if (encode == nullptr) return cudaErrorNotSupported;
  const cuuint64_t extents[3] = {static_cast<cuuint64_t>(shape.columns),
                                 static_cast<cuuint64_t>(shape.extent1),
                                 static_cast<cuuint64_t>(shape.extent2)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(shape.stride1) * 2,
                                 static_cast<cuuint64_t>(shape.stride2) * 2};
  const cuuint32_t box[3] = {64, static_cast<cuuint32_t>(shape.box1), static_cast<cuuint32_t>(shape.box2)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = encode(
      map,
      type == BLOCKRANK_CUDA_FLOAT16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3,
      const_cast<void*>(shape.data), extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace blockrank::cuda
