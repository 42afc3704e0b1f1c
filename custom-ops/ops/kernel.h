// The kernel that ONNX Runtime creates for each node: checks at creation, then shapes and pointers to the
// backend.
#pragma once

#include <memory>

#include "ops/backend.h"
#include "ops/node.h"

namespace blockrank {

class Kernel {
 public:
  /// Null with *error set when the node is wrong.
  static std::unique_ptr<Kernel> Create(const abi::Functions& ort, const abi::OrtKernelInfo* info,
                                        const Variant& variant, DType x_type, const Backend& backend,
                                        std::string* error);
  /// Returns "" or the message.
  std::string Compute(abi::OrtKernelContext* context);

  const abi::Functions& ort() const { return ort_; }

 private:
  explicit Kernel(const abi::Functions& ort) : ort_(ort) {}

  std::string ReadInputs(abi::OrtKernelContext* context, InputShapes* shapes, Problem* problem) const;

  const abi::Functions ort_;
  Node node_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace blockrank
