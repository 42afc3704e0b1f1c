// Reads of ONNX Runtime's objects, with every handle released and every status turned into a sentence.
#pragma once

#include <string>

#include "abi/functions.h"
#include "core/shape_check.h"

namespace blockrank {

/// "" for success; otherwise the status's message. Releases the status.
std::string TakeError(const abi::Functions& ort, abi::OrtStatus* status);

struct TensorInfo {
  abi::ElementType type = abi::kUndefined;
  Shape shape;
};

std::string NodeName(const abi::Functions& ort, const abi::OrtKernelInfo* info);

/// Number of inputs that the node has, trailing absent ones (empty names) not counted.
size_t CountInputs(const abi::Functions& ort, const abi::OrtKernelInfo* info);

/// Type and shape of an input as the graph declares it: exact for constants, otherwise as far as it is known.
TensorInfo DeclaredInput(const abi::Functions& ort, const abi::OrtKernelInfo* info, size_t index);

/// Type and shape of a tensor.
TensorInfo ReadTensor(const abi::Functions& ort, const abi::OrtValue* value);

/// `fallback` where the node does not have the attribute; the value in brackets where it is a number, not a
/// string.
std::string StringAttribute(const abi::Functions& ort, const abi::OrtKernelInfo* info, const char* name,
                            const std::string& fallback);

}  // namespace blockrank
