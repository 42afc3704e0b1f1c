// The reduction of a symmetric matrix to tridiagonal form, and the way back for vectors (Golub & Van
// Loan 8.3.1).
#pragma once

#include <cstdint>

namespace blockrank::linalg {

/// Qᵀ·A·Q = T of `diagonal` [n] and `off` [n − 1], Q the product of the reflectors I − scales[k]·v·vᵀ; v
/// stays in a[k, k + 1 …].
void Tridiagonalise(double* a, int64_t n, double* diagonal, double* off, double* scales);

/// Q·x for each row x of `vectors` [count, n].
void TransformBack(const double* a, int64_t n, const double* scales, double* vectors, int64_t count);

/// Removes from row m of `vectors` [.., n] its parts along rows first … m − 1, which are orthonormal.
void RemoveParts(double* vectors, int64_t n, int64_t first, int64_t m);

}  // namespace blockrank::linalg
