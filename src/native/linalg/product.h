// Matrix products in double on all cores.
#pragma once

#include <cstdint>

namespace blockrank::linalg {

/// Row-major matrices, one after another `step` numbers apart; `turned` is used transposed.
struct Operand {
  const double* data;
  int64_t stride;
  bool turned = false;
  int64_t step = 0;
};

struct Shape {
  int64_t rows, depth, columns;
  int64_t batch = 1;
};

/// c (+)= scale · a·b for each matrix of the batch. Sums run in one order, however many threads there are.
void Multiply(const Shape& shape, const Operand& a, const Operand& b, double* c, int64_t stride, int64_t step,
              double scale = 1, bool add = false);

}  // namespace blockrank::linalg
