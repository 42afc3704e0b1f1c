#include "cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"
#include "product.h"

namespace blockrank::linalg {
namespace {

// Blocks on the diagonal go row by row; everything else is products (Golub & Van Loan 4.2.6).
constexpr int64_t kBlock = 48;
/// Rows of the trailing matrix that are updated at a time: what they compute above the diagonal is wasted.
constexpr int64_t kStrip = 192;

bool CholeskyBlock(double* a, int64_t stride, int64_t n) {
  const auto dot = ChosenKernels().dot;
  for (int64_t i = 0; i < n; ++i) {
    double* row = a + i * stride;
    for (int64_t j = 0; j < i; ++j) row[j] = (row[j] - dot(row, a + j * stride, j)) / a[j * stride + j];
    const double square = row[i] - dot(row, row, i);
    if (!(square > 0 && square < INFINITY)) return false;
    row[i] = std::sqrt(square);
  }
  return true;
}

/// Row i of L⁻¹ is (e_i − Σ_k<i l_ik · row k) / l_ii.
void InvertBlock(const double* l, int64_t stride, int64_t n, double* inverse, int64_t inverse_stride) {
  const auto add = ChosenKernels().add;
  for (int64_t i = 0; i < n; ++i) {
    double* row = inverse + i * inverse_stride;
    std::fill(row, row + n, 0.0);
    for (int64_t k = 0; k < i; ++k) add(-l[i * stride + k], inverse + k * inverse_stride, row, k + 1);
    const double scale = 1 / l[i * stride + i];
    for (int64_t c = 0; c < i; ++c) row[c] *= scale;
    row[i] = scale;
  }
}

}  // namespace

bool Cholesky(double* a, int64_t n) {
  double inverse[kBlock * kBlock];
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t end = std::min(start + kBlock, n), size = end - start;
    double* const diagonal = a + start * n + start;
    if (!CholeskyBlock(diagonal, n, size)) return false;
    if (end == n) break;
    InvertBlock(diagonal, n, size, inverse, size);
    // In place: a product packs a strip of depth before it stores, and there is one strip.
    double* const panel = a + end * n + start;
    Multiply({n - end, size, size}, {panel, n}, {inverse, size, true}, panel, n, 0);
    for (int64_t top = end; top < n; top += kStrip) {
      const int64_t bottom = std::min(top + kStrip, n);
      Multiply({bottom - top, size, bottom - end}, {a + top * n + start, n}, {panel, n, true},
               a + top * n + end, n, 0, -1, true);
    }
  }
  return true;
}

void InvertLower(const double* l, int64_t n, double* inverse) {
  std::vector<double> part(kBlock * n);
  std::fill(inverse, inverse + n * n, 0.0);
  for (int64_t start = 0; start < n; start += kBlock) {
    const int64_t end = std::min(start + kBlock, n), size = end - start;
    InvertBlock(l + start * n + start, n, size, inverse + start * n + start, n);
    if (start == 0) continue;
    // Block row i is −L_ii⁻¹·L_i·L⁻¹ over the rows above.
    Multiply({size, start, start}, {l + start * n, n}, {inverse, n}, part.data(), start, 0);
    Multiply({size, size, start}, {inverse + start * n + start, n}, {part.data(), start}, inverse + start * n,
             n, 0, -1);
  }
}

void SolveCholesky(const double* l, int64_t n, double* b) {
  const Kernels& kernels = ChosenKernels();
  for (int64_t i = 0; i < n; ++i) b[i] = (b[i] - kernels.dot(l + i * n, b, i)) / l[i * n + i];
  for (int64_t i = n - 1; i >= 0; --i) {
    b[i] /= l[i * n + i];
    kernels.add(-b[i], l + i * n, b, i);
  }
}

}  // namespace blockrank::linalg
