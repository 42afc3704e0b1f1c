// A problem with int8 factors, and the definition of compute = int8 in plain loops: exact integers, and the
// float steps one by one in the documented order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/params.h"
#include "problem.h"

namespace blockrank::test {

class Int8Problem {
 public:
  Int8Problem(const Spec& spec, DType scale_type, uint32_t seed);

  /// Points at this object's tensors; Y is cleared to a pattern that no result has.
  Problem Bind();

  /// Y before the activation by the definition, [token][out].
  std::vector<float> Define() const;

  /// Compares Y with the definition: the same bits before the activation, within 4e-7 of the activation's
  /// argument after one that is not exact. NaN is NaN whatever its bits. Returns "" or the first difference.
  std::string Compare() const;

  /// ‖Y − X·Ŵᵀ − B‖ / ‖X·Ŵᵀ + B‖ with the dequantized factors in float64; no activation.
  double RelativeError() const;

  const Spec spec;
  const DType scale_type;
  Tensor x, v_scale, s, u_scale, b;
  std::vector<int8_t> v, u;
  std::vector<unsigned char> y;

 private:
  int64_t ZBlocks() const { return spec.structure == Structure::kMonarch ? spec.dims.b_in : 1; }
};

}  // namespace blockrank::test
