// Element types: conversion to and from the float32 in which everything is summed, and the activations.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "blockrank_cuda.h"

namespace blockrank::cuda {

__device__ __forceinline__ float ToFloat(float v) { return v; }
__device__ __forceinline__ float ToFloat(__half v) { return __half2float(v); }
__device__ __forceinline__ float ToFloat(__nv_bfloat16 v) { return __bfloat162float(v); }

__device__ __forceinline__ float ToFloat(int8_t v) { return static_cast<float>(v); }

template <class T>
__device__ __forceinline__ T FromFloat(float v);
template <>
__device__ __forceinline__ float FromFloat<float>(float v) {
  return v;
}
template <>
__device__ __forceinline__ __half FromFloat<__half>(float v) {
  return __float2half_rn(v);
}
template <>
__device__ __forceinline__ __nv_bfloat16 FromFloat<__nv_bfloat16>(float v) {
  return __float2bfloat16_rn(v);
}

// Scales of int8 factors, stored as float32 or float16; 1 where there are none.
struct Scales {
  const void* values;
  bool half;
  __device__ __forceinline__ float operator[](int64_t i) const {
    if (values == nullptr) return 1.0f;
    return half ? __half2float(static_cast<const __half*>(values)[i]) : static_cast<const float*>(values)[i];
  }
};

// Two 16-bit values in one register, the first in the low half.
template <class T>
__device__ __forceinline__ uint32_t Pack2(float low, float high);
template <>
__device__ __forceinline__ uint32_t Pack2<__half>(float low, float high) {
  const __half2 v = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&v);
}
template <>
__device__ __forceinline__ uint32_t Pack2<__nv_bfloat16>(float low, float high) {
  const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&v);
}

__device__ __forceinline__ float Activate(float v, blockrank_cuda_activation activation) {
  switch (activation) {
    case BLOCKRANK_CUDA_RELU:
      return v < 0.0f ? 0.0f : v;  // keeps NaN
    case BLOCKRANK_CUDA_GELU:
      return 0.5f * v * (1.0f + erff(v * 0.70710678118654752f));
    case BLOCKRANK_CUDA_GELU_TANH:
      return 0.5f * v * (1.0f + tanhf(0.79788456080286536f * (v + 0.044715f * v * v * v)));
    case BLOCKRANK_CUDA_SILU:
      return v / (1.0f + expf(-v));
    default:
      return v;
  }
}

// The activation of kCount values: the switch is outside of the loop, since a copy of every branch for every
// value of an unrolled tile overflows the instruction cache (measured: 13 µs for one 128 × 128 tile).
template <int kCount>
__device__ __forceinline__ void ActivateAll(float (&v)[kCount], blockrank_cuda_activation activation) {
  switch (activation) {
    case BLOCKRANK_CUDA_RELU:
#pragma unroll
      for (float& value : v) value = Activate(value, BLOCKRANK_CUDA_RELU);
      break;
    case BLOCKRANK_CUDA_GELU:
#pragma unroll
      for (float& value : v) value = Activate(value, BLOCKRANK_CUDA_GELU);
      break;
    case BLOCKRANK_CUDA_GELU_TANH:
#pragma unroll
      for (float& value : v) value = Activate(value, BLOCKRANK_CUDA_GELU_TANH);
      break;
    case BLOCKRANK_CUDA_SILU:
#pragma unroll
      for (float& value : v) value = Activate(value, BLOCKRANK_CUDA_SILU);
      break;
    default:
      break;
  }
}

// Bias and activation of one output; `bias` is null without one, and `bias_step` 0 for a scalar.
template <class T>
struct Epilogue {
  const T* bias;
  int bias_step;
  blockrank_cuda_activation activation;

  __device__ __forceinline__ float operator()(float v, int64_t feature) const {
    if (bias != nullptr) v += ToFloat(bias[feature * bias_step]);
    return Activate(v, activation);
  }
};

}  // namespace blockrank::cuda
