// Random data for the benchmark, made on the device.
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include "timing.h"

namespace blockrank::bench {
namespace {

__device__ float Uniform(uint32_t seed, int64_t i) {
  uint32_t h = seed * 0x9E3779B9u + static_cast<uint32_t>(i) * 0x85EBCA6Bu;
  h ^= h >> 16;
  h *= 0x7FEB352Du;
  h ^= h >> 15;
  h *= 0x846CA68Bu;
  h ^= h >> 16;
  return static_cast<float>(h) * 0x1p-31f - 1.0f;
}

template <class T>
__global__ void FillKernel(T* data, int64_t elements, float scale, uint32_t seed) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += stride)
    data[i] = T(scale * Uniform(seed, i));
}

}  // namespace

void FillRandom(void* data, int64_t elements, float scale, uint32_t seed) {
  FillKernel<<<1024, 256>>>(static_cast<__nv_bfloat16*>(data), elements, scale, seed);
  CheckCuda(cudaGetLastError(), "fill");
  CheckCuda(cudaDeviceSynchronize(), "fill");
}

void FillRandomFp8(void* data, int64_t elements, uint32_t seed) {
  FillKernel<<<1024, 256>>>(static_cast<__nv_fp8_e4m3*>(data), elements, 1.0f, seed);
  CheckCuda(cudaGetLastError(), "fill");
  CheckCuda(cudaDeviceSynchronize(), "fill");
}

}  // namespace blockrank::bench
