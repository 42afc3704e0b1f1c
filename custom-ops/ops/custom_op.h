// One registration: an operator name on one backend for one type of X, as ONNX Runtime's OrtCustomOp.
#pragma once

#include <memory>

#include "ops/backend.h"
#include "ops/variant.h"

namespace blockrank {

struct CustomOp : abi::OrtCustomOp {
  CustomOp(const abi::Functions& functions, const Variant& op_variant, DType type, const Backend& op_backend);

  const abi::Functions ort;
  const Variant& variant;
  const DType x_type;
  const Backend& backend;
};

}  // namespace blockrank
