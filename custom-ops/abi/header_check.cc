// Compiles only if our declarations agree with the official headers (cmake -DORT_HEADERS=<dir of
// onnxruntime_c_api.h>).
#include <onnxruntime_c_api.h>

#include "abi/functions.h"

namespace ours = blockrank::abi;

#define CHECK_SLOT(slot_number, name, Result, Parameters) \
  static_assert(offsetof(OrtApi, name) == slot_number * sizeof(void*), #name);
BLOCKRANK_ORT_FUNCTIONS(CHECK_SLOT)

#define CHECK_FIELD(name) \
  static_assert(offsetof(OrtCustomOp, name) == offsetof(ours::OrtCustomOp, name), #name);
CHECK_FIELD(version)
CHECK_FIELD(CreateKernel)
CHECK_FIELD(GetName)
CHECK_FIELD(GetExecutionProviderType)
CHECK_FIELD(GetInputType)
CHECK_FIELD(GetInputTypeCount)
CHECK_FIELD(GetOutputType)
CHECK_FIELD(GetOutputTypeCount)
CHECK_FIELD(KernelCompute)
CHECK_FIELD(KernelDestroy)
CHECK_FIELD(GetInputCharacteristic)
CHECK_FIELD(GetOutputCharacteristic)
CHECK_FIELD(GetInputMemoryType)
CHECK_FIELD(GetVariadicInputMinArity)
CHECK_FIELD(GetVariadicInputHomogeneity)
CHECK_FIELD(GetVariadicOutputMinArity)
CHECK_FIELD(GetVariadicOutputHomogeneity)
CHECK_FIELD(CreateKernelV2)
CHECK_FIELD(KernelComputeV2)
CHECK_FIELD(InferOutputShapeFn)
CHECK_FIELD(GetStartVersion)
CHECK_FIELD(GetEndVersion)
CHECK_FIELD(GetMayInplace)
CHECK_FIELD(ReleaseMayInplace)
CHECK_FIELD(GetAliasMap)
CHECK_FIELD(ReleaseAliasMap)
static_assert(sizeof(OrtCustomOp) == sizeof(ours::OrtCustomOp));
static_assert(offsetof(OrtApiBase, GetVersionString) == offsetof(ours::OrtApiBase, GetVersionString));

static_assert(int{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT} == ours::kFloat);
static_assert(int{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16} == ours::kFloat16);
static_assert(int{ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16} == ours::kBFloat16);
static_assert(int{INPUT_OUTPUT_OPTIONAL} == ours::kOptional);
static_assert(int{OrtMemTypeDefault} == ours::kMemDefault);
static_assert(int{ORT_FAIL} == ours::kFail && int{ORT_INVALID_ARGUMENT} == ours::kInvalidArgument);
static_assert(int{ORT_RUNTIME_EXCEPTION} == ours::kRuntimeException);
static_assert(int{ORT_NOT_IMPLEMENTED} == ours::kNotImplemented);
