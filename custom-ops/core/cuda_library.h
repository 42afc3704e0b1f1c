// libblockrank_cuda.so, opened at run time: this library works without it, and links to nothing of CUDA.
#pragma once

#include <string>

#include "cuda/blockrank_cuda.h"

namespace blockrank {

struct CudaLibrary {
  std::string path;   // beside this library, or where BLOCKRANK_CUDA_LIBRARY says
  std::string error;  // why it cannot be used; "" where it can, and only then are the functions set

  decltype(&blockrank_cuda_check_device) check_device = nullptr;
  decltype(&blockrank_cuda_plan_create) plan_create = nullptr;
  decltype(&blockrank_cuda_plan_destroy) plan_destroy = nullptr;
  decltype(&blockrank_cuda_workspace_size) workspace_size = nullptr;
  decltype(&blockrank_cuda_launch) launch = nullptr;
};

/// Opened at the first call, once in a process, and never closed. Touches neither the driver nor a device: a
/// process that stays on the CPU pays for mapping a file, not for a CUDA context.
const CudaLibrary& LoadCudaLibrary();

}  // namespace blockrank
