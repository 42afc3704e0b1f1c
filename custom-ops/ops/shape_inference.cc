#include "ops/shape_inference.h"

#include <atomic>
#include <string>
#include <vector>

#include "ops/ort_info.h"

namespace blockrank {
namespace {

// Dimensions with their names ("" where a dimension is a number, or unknown and nameless).
struct NamedShape {
  abi::ElementType type = abi::kUndefined;
  std::vector<int64_t> dims;
  std::vector<std::string> names;
};

NamedShape ReadShape(const abi::Functions& ort, abi::OrtShapeInferContext* context, size_t input) {
  NamedShape shape;
  abi::OrtTensorTypeAndShapeInfo* info = nullptr;  // the context's own
  size_t rank = 0;
  if (!TakeError(ort, ort.ShapeInferContext_GetInputTypeShape(context, input, &info)).empty()) return shape;
  if (!TakeError(ort, ort.GetDimensionsCount(info, &rank)).empty()) return shape;
  if (!TakeError(ort, ort.GetTensorElementType(info, &shape.type)).empty()) return shape;
  shape.dims.resize(rank);
  std::vector<const char*> names(rank, nullptr);
  if (!TakeError(ort, ort.GetDimensions(info, shape.dims.data(), rank)).empty() ||
      !TakeError(ort, ort.GetSymbolicDimensions(info, names.data(), rank)).empty()) {
    return {};
  }
  for (const char* name : names) shape.names.emplace_back(name == nullptr ? "" : name);
  return shape;
}

// A nameless unknown would be written as the size −1, so it gets a name that no other dimension has.
void NameUnknowns(NamedShape* shape) {
  static std::atomic<uint64_t> next{0};
  for (size_t i = 0; i < shape->dims.size(); ++i) {
    if (shape->dims[i] < 0 && shape->names[i].empty())
      shape->names[i] = "blockrank_" + std::to_string(next++);
  }
}

}  // namespace

void InferOutputShape(const abi::Functions& ort, abi::OrtShapeInferContext* context, size_t u_index) {
  size_t inputs = 0;
  if (!TakeError(ort, ort.ShapeInferContext_GetInputCount(context, &inputs)).empty() || inputs <= u_index)
    return;
  NamedShape y = ReadShape(ort, context, 0);
  const NamedShape u = ReadShape(ort, context, u_index);
  if (y.dims.empty()) return;  // X's rank is unknown
  y.dims.back() = u.dims.empty() ? -1 : u.dims[0];
  y.names.back() = u.dims.empty() ? "" : u.names[0];
  NameUnknowns(&y);

  std::vector<const char*> names;
  for (const std::string& name : y.names) names.push_back(name.c_str());
  abi::OrtTensorTypeAndShapeInfo* info = nullptr;
  if (!TakeError(ort, ort.CreateTensorTypeAndShapeInfo(&info)).empty()) return;
  // Without a type, ONNX Runtime takes float32 from here.
  if (TakeError(ort, ort.SetTensorElementType(info, y.type)).empty() &&
      TakeError(ort, ort.SetDimensions(info, y.dims.data(), y.dims.size())).empty() &&
      TakeError(ort, ort.SetSymbolicDimensions(info, names.data(), names.size())).empty()) {
    TakeError(ort, ort.ShapeInferContext_SetOutputTypeShape(context, size_t{0}, info));
  }
  ort.ReleaseTensorTypeAndShapeInfo(info);
}

}  // namespace blockrank
