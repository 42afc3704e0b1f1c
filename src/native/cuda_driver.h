// What the NVIDIA driver says about this machine, asked without linking to CUDA.
#pragma once

#include <string>
#include <vector>

namespace blockrank {

struct CudaDriver {
  std::string error;                 // why there is no usable driver; empty where there is one
  int version = 0;                   // newest CUDA that the driver supports, 1000 · major + 10 · minor
  std::vector<std::string> devices;  // names, in the driver's order
};

CudaDriver AskCudaDriver();

}  // namespace blockrank
