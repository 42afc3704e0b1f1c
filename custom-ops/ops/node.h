// One node of a graph: its variant, attributes and types, checked when the session is created.
#pragma once

#include <string>
#include <vector>

#include "abi/functions.h"
#include "core/shape_check.h"
#include "ops/variant.h"

namespace blockrank {

class Node {
 public:
  /// Reads and checks the node: attributes, types, and shapes as far as they are known. Returns "" or the
  /// message, which begins with the node's name and operator.
  std::string Read(const abi::Functions& ort, const abi::OrtKernelInfo* info, const Variant& variant,
                   DType x_type);

  /// A run's tensors → the problem, without pointers. Returns "" or the message.
  std::string Bind(const InputShapes& shapes, Problem* problem) const;

  /// The node as far as the graph declares it: no pointers, no tokens, −1 for unknown sizes.
  const Problem& declared() const { return declared_; }

  /// "blockrank: node 'fc1' (BlastMatMul): " + text
  std::string Error(const std::string& text) const;

  const Variant& variant() const { return *variant_; }
  bool has_bias() const { return has_bias_; }

 private:
  std::string ReadAttributes(const abi::Functions& ort, const abi::OrtKernelInfo* info);
  std::string ReadActivation(const abi::Functions& ort, const abi::OrtKernelInfo* info);
  std::string ReadOrder(const abi::Functions& ort, const abi::OrtKernelInfo* info);
  std::string ReadCompute(const abi::Functions& ort, const abi::OrtKernelInfo* info);
  std::string ReadType(char letter, abi::ElementType found);
  std::string ReadInputs(const abi::Functions& ort, const abi::OrtKernelInfo* info);
  std::string Describe(const InputShapes& shapes, Problem* problem) const;

  const Variant* variant_ = nullptr;
  std::string name_;
  Activation activation_ = Activation::kNone;
  OutputOrder order_ = OutputOrder::kContiguous;
  DType x_type_ = DType::kFloat32;
  DType factor_type_ = DType::kFloat32;
  DType scale_type_ = DType::kFloat32;
  Compute compute_ = Compute::kFloat;
  bool has_bias_ = false;
  Problem declared_;
};

/// Where the input of a letter of InputLetters, or B, keeps its shape.
Shape* Slot(InputShapes* shapes, char letter);

/// Likewise the data.
const void** Pointer(Problem* problem, char letter);

/// Points the problem at its factors, where the graph has all of them as constants.
bool BindConstantFactors(const abi::Functions& ort, const abi::OrtKernelInfo* info, Problem* problem);

}  // namespace blockrank
