// Matrix products on all cores.
#pragma once

#include <cstdint>

namespace blockrank::linalg {

/// Row-major matrices of T, double or float, one after another `step` numbers apart; `turned` is used
/// transposed.
template <class T>
struct OperandOf {
  const T* data;
  int64_t stride;
  bool turned = false;
  int64_t step = 0;
};

struct Shape {
  int64_t rows, depth, columns;
  int64_t batch = 1;
};

using Operand = OperandOf<double>;
using FloatOperand = OperandOf<float>;

/// c (+)= scale · a·b for each matrix of the batch. Sums run in one order, however many threads there are.
void Multiply(const Shape& shape, const Operand& a, const Operand& b, double* c, int64_t stride, int64_t step,
              double scale = 1, bool add = false);

/// c = a·b in float. Of a `symmetric` product the part above the diagonal is copied from below it.
void Multiply(const Shape& shape, const FloatOperand& a, const FloatOperand& b, float* c, bool symmetric);

}  // namespace blockrank::linalg
