// Which of the embedded images the driver loaded. Device code knows its features only while it is compiled,
// so a kernel that is never run carries them in its launch bounds, which the host can read.
#include "plan.h"
#include "ptx.cuh"

namespace blockrank::cuda {
namespace {

[[maybe_unused]] constexpr int kPlain = 32, kClusters = 64, kWgmma = 128;

#if defined(BLOCKRANK_HAS_WGMMA)
__global__ void __launch_bounds__(kWgmma) ImageKernel() {}
#elif defined(BLOCKRANK_HAS_CLUSTERS)
__global__ void __launch_bounds__(kClusters) ImageKernel() {}
#else
__global__ void __launch_bounds__(kPlain) ImageKernel() {}
#endif

}  // namespace

cudaError_t ReadImage(Device* device) {
  cudaFuncAttributes image = {};
  BLOCKRANK_RETURN_IF_ERROR(cudaFuncGetAttributes(&image, ImageKernel));
  device->programmatic_launch = image.maxThreadsPerBlock >= kClusters;
  device->wgmma = image.maxThreadsPerBlock == kWgmma;
  return cudaSuccess;
}

}  // namespace blockrank::cuda
