// Cholesky factors in double; matrices are row-major, n × n.
#pragma once

#include <cstdint>

namespace blockrank::linalg {

/// L with L·Lᵀ = A in place of A's lower triangle; the upper one is left in some state. False where a pivot
/// is not positive.
bool Cholesky(double* a, int64_t n);

/// L⁻¹, with zeros above its diagonal.
void InvertLower(const double* l, int64_t n, double* inverse);

/// x with L·Lᵀ·x = b, in place of b.
void SolveCholesky(const double* l, int64_t n, double* b);

}  // namespace blockrank::linalg
