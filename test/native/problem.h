// A problem with its data, the float64 loops that define its result, and the error that fp32 sums may have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/params.h"

namespace blockrank::test {

/// Values of a tensor as stored, and what they stand for.
struct Tensor {
  std::vector<unsigned char> bytes;
  std::vector<double> values;
};

struct Spec {
  Structure structure;
  Dims dims;
  int64_t tokens;
  DType x_type = DType::kFloat32;
  DType factor_type = DType::kFloat32;
  DType scale_type = DType::kFloat32;  // with int8 factors
  Activation activation = Activation::kNone;
  OutputOrder order = OutputOrder::kContiguous;
  int bias = 0;  // 0: none, 1: one value, 2: one per output
  Compute compute = Compute::kFloat;
};

/// The three structures, Monarch in both orders; block counts that do not apply are dropped.
std::vector<Spec> Structures(Dims dims, int64_t tokens);

std::string Describe(const Spec& spec);

class TestProblem {
 public:
  TestProblem(const Spec& spec, uint32_t seed);

  /// Points at this object's tensors; Y is cleared to a pattern that no result has.
  Problem Bind();
  /// Compares Y with the definition. Returns "" or a description of the worst element.
  std::string Compare() const;
  /// One token by the formulas of docs/operators.md, before the activation; `magnitude` is the same sum over
  /// absolute values.
  void Define(int64_t token, std::vector<double>* result, std::vector<double>* magnitude) const;

  const Spec spec;
  Tensor x, v, s, u, b;
  Tensor v_scale, u_scale;  // of int8 factors; v and u hold the integers then
  std::vector<unsigned char> y;

 private:
  double V(int64_t row, int64_t column, int64_t j) const;
  double U(int64_t row, int64_t column) const;
};

double Activate(Activation activation, double value);
double Decode(const unsigned char* bytes, DType type, int64_t index);
void Encode(Tensor* tensor, DType type, int64_t index, double value);

}  // namespace blockrank::test
