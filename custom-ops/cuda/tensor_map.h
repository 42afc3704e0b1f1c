// Descriptions of operands for the copy engine, made on the host for each launch (they hold the pointers).
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include "blockrank_cuda.h"

namespace blockrank::cuda {

// A 16-bit operand as [extent2][extent1][columns], columns contiguous, strides in elements, read in boxes of
// 64 columns × box1 × box2.
struct TensorMapShape {
  const void* data;
  int64_t columns;
  int64_t extent1, stride1;
  int64_t extent2, stride2;
  int box1, box2;
};

cudaError_t EncodeTensorMap(const TensorMapShape& shape, blockrank_cuda_type type, CUtensorMap* map);

}  // namespace blockrank::cuda
