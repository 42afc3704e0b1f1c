#include "ops/ort_info.h"

namespace blockrank {
namespace {

using abi::Functions;

// A string that the API copies out: asked for its size first (the closing zero included).
template <class Read>
bool ReadString(const Functions& ort, std::string* text, Read&& read) {
  size_t size = 0;
  if (!TakeError(ort, read(nullptr, &size)).empty() || size == 0) return false;
  text->resize(size);
  if (!TakeError(ort, read(&(*text)[0], &size)).empty()) return false;
  text->resize(size - 1);
  return true;
}

TensorInfo ReadInfo(const Functions& ort, const abi::OrtTensorTypeAndShapeInfo* info) {
  TensorInfo result;
  size_t rank = 0;
  if (!TakeError(ort, ort.GetTensorElementType(info, &result.type)).empty()) return result;
  if (!TakeError(ort, ort.GetDimensionsCount(info, &rank)).empty()) return result;
  result.shape.dims.resize(rank);
  result.shape.known = TakeError(ort, ort.GetDimensions(info, result.shape.dims.data(), rank)).empty();
  return result;
}

}  // namespace

std::string TakeError(const Functions& ort, abi::OrtStatus* status) {
  if (status == nullptr) return "";
  const std::string message = ort.GetErrorMessage(status);
  ort.ReleaseStatus(status);
  return message.empty() ? "unknown error" : message;
}

std::string NodeName(const Functions& ort, const abi::OrtKernelInfo* info) {
  std::string name;
  ReadString(ort, &name,
             [&](char* buffer, size_t* size) { return ort.KernelInfo_GetNodeName(info, buffer, size); });
  return name;
}

size_t CountInputs(const Functions& ort, const abi::OrtKernelInfo* info) {
  size_t count = 0;
  if (!TakeError(ort, ort.KernelInfo_GetInputCount(info, &count)).empty()) return 0;
  std::string name;
  const auto read = [&](char* buffer, size_t* size) {
    return ort.KernelInfo_GetInputName(info, count - 1, buffer, size);
  };
  while (count > 0 && (!ReadString(ort, &name, read) || name.empty())) --count;
  return count;
}

TensorInfo DeclaredInput(const Functions& ort, const abi::OrtKernelInfo* info, size_t index) {
  int constant = 0;
  const abi::OrtValue* value = nullptr;
  if (TakeError(ort, ort.KernelInfoGetConstantInput_tensor(info, index, &constant, &value)).empty() &&
      constant && value != nullptr) {
    return ReadTensor(ort, value);
  }
  TensorInfo result;
  abi::OrtTypeInfo* type = nullptr;
  if (!TakeError(ort, ort.KernelInfo_GetInputTypeInfo(info, index, &type)).empty()) return result;
  const abi::OrtTensorTypeAndShapeInfo* tensor = nullptr;
  if (TakeError(ort, ort.CastTypeInfoToTensorInfo(type, &tensor)).empty() && tensor != nullptr) {
    result = ReadInfo(ort, tensor);
    // An undeclared shape and a scalar look the same here; a scalar is then reported when the node runs.
    if (result.shape.dims.empty()) result.shape.known = false;
  }
  ort.ReleaseTypeInfo(type);
  return result;
}

TensorInfo ReadTensor(const Functions& ort, const abi::OrtValue* value) {
  TensorInfo result;
  abi::OrtTensorTypeAndShapeInfo* info = nullptr;
  if (!TakeError(ort, ort.GetTensorTypeAndShape(value, &info)).empty()) return result;
  result = ReadInfo(ort, info);
  ort.ReleaseTensorTypeAndShapeInfo(info);
  return result;
}

std::string StringAttribute(const Functions& ort, const abi::OrtKernelInfo* info, const char* name,
                            const std::string& fallback) {
  std::string value;
  const bool found = ReadString(ort, &value, [&](char* buffer, size_t* size) {
    return ort.KernelInfoGetAttribute_string(info, name, buffer, size);
  });
  if (found) return value;
  // An absent attribute and one of another type fail alike, with texts that differ between versions.
  int64_t integer = 0;
  float real = 0;
  if (TakeError(ort, ort.KernelInfoGetAttribute_int64(info, name, &integer)).empty())
    return "(integer " + std::to_string(integer) + ")";
  if (TakeError(ort, ort.KernelInfoGetAttribute_float(info, name, &real)).empty())
    return "(float " + std::to_string(real) + ")";
  // A list of strings cannot be told from an absent attribute before API 25.
  size_t size = 0;
  if (TakeError(ort, ort.KernelInfoGetAttributeArray_int64(info, name, nullptr, &size)).empty() && size > 0)
    return "(list of " + std::to_string(size) + " integers)";
  size = 0;
  if (TakeError(ort, ort.KernelInfoGetAttributeArray_float(info, name, nullptr, &size)).empty() && size > 0)
    return "(list of " + std::to_string(size) + " floats)";
  return fallback;
}

}  // namespace blockrank
