// A node's problem in the terms of libblockrank_cuda.so.
#pragma once

#include <string>

#include "core/params.h"
#include "cuda/blockrank_cuda.h"

namespace blockrank {

blockrank_cuda_layer CudaLayer(const Problem& problem, int device, bool factors_may_change);

/// "in 768, out 3072, b_in 6, b_out 6, r 192, float16 with float16 factors, 17 tokens", for messages.
std::string Show(const Problem& problem);

}  // namespace blockrank
