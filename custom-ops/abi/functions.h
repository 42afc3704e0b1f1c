// Typed access to the slots of OrtApi that this library uses; none is newer than ONNX Runtime 1.20.
#pragma once

#include "abi/ort_types.h"

// One line per function: slot, name, result, parameters.
#define BLOCKRANK_ORT_FUNCTIONS(V)                                                                         \
  V(0, CreateStatus, OrtStatus*, (ErrorCode, const char* message))                                         \
  V(2, GetErrorMessage, const char*, (const OrtStatus*))                                                   \
  V(26, CreateCustomOpDomain, OrtStatus*, (const char* name, OrtCustomOpDomain** out))                     \
  V(27, CustomOpDomain_Add, OrtStatus*, (OrtCustomOpDomain*, const OrtCustomOp*))                          \
  V(28, AddCustomOpDomain, OrtStatus*, (OrtSessionOptions*, OrtCustomOpDomain*))                           \
  V(51, GetTensorMutableData, OrtStatus*, (OrtValue*, void** out))                                         \
  V(55, CastTypeInfoToTensorInfo, OrtStatus*, (const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo** out)) \
  V(57, CreateTensorTypeAndShapeInfo, OrtStatus*, (OrtTensorTypeAndShapeInfo * *out))                      \
  V(58, SetTensorElementType, OrtStatus*, (OrtTensorTypeAndShapeInfo*, ElementType))                       \
  V(59, SetDimensions, OrtStatus*, (OrtTensorTypeAndShapeInfo*, const int64_t* dims, size_t rank))         \
  V(60, GetTensorElementType, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, ElementType* out))            \
  V(61, GetDimensionsCount, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, size_t* out))                   \
  V(62, GetDimensions, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, int64_t* dims, size_t rank))         \
  V(63, GetSymbolicDimensions, OrtStatus*,                                                                 \
    (const OrtTensorTypeAndShapeInfo*, const char** names, size_t rank))                                   \
  V(65, GetTensorTypeAndShape, OrtStatus*, (const OrtValue*, OrtTensorTypeAndShapeInfo** out))             \
  V(72, MemoryInfoGetId, OrtStatus*, (const OrtMemoryInfo*, int* out))                                     \
  V(75, AllocatorAlloc, OrtStatus*, (OrtAllocator*, size_t bytes, void** out))                             \
  V(76, AllocatorFree, OrtStatus*, (OrtAllocator*, void*))                                                 \
  V(77, AllocatorGetInfo, OrtStatus*, (const OrtAllocator*, const OrtMemoryInfo** out))                    \
  V(85, KernelInfoGetAttribute_float, OrtStatus*, (const OrtKernelInfo*, const char* name, float* out))    \
  V(86, KernelInfoGetAttribute_int64, OrtStatus*, (const OrtKernelInfo*, const char* name, int64_t* out))  \
  V(87, KernelInfoGetAttribute_string, OrtStatus*,                                                         \
    (const OrtKernelInfo*, const char* name, char* buffer, size_t* size))                                  \
  V(90, KernelContext_GetInput, OrtStatus*, (const OrtKernelContext*, size_t index, const OrtValue** out)) \
  V(91, KernelContext_GetOutput, OrtStatus*,                                                               \
    (OrtKernelContext*, size_t index, const int64_t* dims, size_t rank, OrtValue** out))                   \
  V(93, ReleaseStatus, void, (OrtStatus*))                                                                 \
  V(98, ReleaseTypeInfo, void, (OrtTypeInfo*))                                                             \
  V(99, ReleaseTensorTypeAndShapeInfo, void, (OrtTensorTypeAndShapeInfo*))                                 \
  V(101, ReleaseCustomOpDomain, void, (OrtCustomOpDomain*))                                                \
  V(132, ReleaseAllocator, void, (OrtAllocator*))                                                          \
  V(162, KernelInfoGetAttributeArray_float, OrtStatus*,                                                    \
    (const OrtKernelInfo*, const char* name, float* out, size_t* size))                                    \
  V(163, KernelInfoGetAttributeArray_int64, OrtStatus*,                                                    \
    (const OrtKernelInfo*, const char* name, int64_t* out, size_t* size))                                  \
  V(193, KernelContext_GetGPUComputeStream, OrtStatus*, (const OrtKernelContext*, void** stream))          \
  V(230, KernelInfo_GetInputCount, OrtStatus*, (const OrtKernelInfo*, size_t* out))                        \
  V(232, KernelInfo_GetInputName, OrtStatus*,                                                              \
    (const OrtKernelInfo*, size_t index, char* buffer, size_t* size))                                      \
  V(234, KernelInfo_GetInputTypeInfo, OrtStatus*, (const OrtKernelInfo*, size_t index, OrtTypeInfo** out)) \
  V(244, KernelInfo_GetNodeName, OrtStatus*, (const OrtKernelInfo*, char* buffer, size_t* size))           \
  V(249, KernelInfoGetConstantInput_tensor, OrtStatus*,                                                    \
    (const OrtKernelInfo*, size_t index, int* is_constant, const OrtValue** out))                          \
  V(267, ShapeInferContext_GetInputCount, OrtStatus*, (const OrtShapeInferContext*, size_t* out))          \
  V(268, ShapeInferContext_GetInputTypeShape, OrtStatus*,                                                  \
    (const OrtShapeInferContext*, size_t index, OrtTensorTypeAndShapeInfo** out))                          \
  V(270, ShapeInferContext_SetOutputTypeShape, OrtStatus*,                                                 \
    (const OrtShapeInferContext*, size_t index, const OrtTensorTypeAndShapeInfo*))                         \
  V(271, SetSymbolicDimensions, OrtStatus*, (OrtTensorTypeAndShapeInfo*, const char** names, size_t rank)) \
  V(274, KernelContext_ParallelFor, OrtStatus*,                                                            \
    (const OrtKernelContext*, void (*fn)(void* user, size_t index), size_t total, size_t batches,          \
     void* user))                                                                                          \
  V(277, KernelContext_GetScratchBuffer, OrtStatus*,                                                       \
    (const OrtKernelContext*, const OrtMemoryInfo*, size_t bytes, void** out))                             \
  V(278, KernelInfoGetAllocator, OrtStatus*, (const OrtKernelInfo*, MemType, OrtAllocator** out))

namespace blockrank::abi {

/// `Functions(api).CreateStatus(…)`: each call goes through the table, so a hook on the table is respected.
class Functions {
 public:
  explicit Functions(const OrtApi* api) : api_(api) {}
  const OrtApi* api() const { return api_; }

#define BLOCKRANK_ORT_ACCESSOR(slot_number, name, Result, Parameters)                       \
  template <class... Args>                                                                  \
  Result name(Args... args) const {                                                         \
    using Function = Result(*) Parameters;                                                  \
    return reinterpret_cast<Function>(const_cast<void*>(api_->slot[slot_number]))(args...); \
  }
  BLOCKRANK_ORT_FUNCTIONS(BLOCKRANK_ORT_ACCESSOR)
#undef BLOCKRANK_ORT_ACCESSOR

 private:
  const OrtApi* api_;
};

}  // namespace blockrank::abi
