#include "tridiagonal.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace blockrank::linalg {
namespace {

/// Numbers of the matrix that one job reads and writes.
constexpr int64_t kJob = 1 << 14;
/// Vectors that go through the reflectors together, while those are in the cache.
constexpr int64_t kVectors = 8;

/// x [n] becomes the Householder vector that takes x to (*target, 0 …); returns 2/(vᵀv), 0 where nothing is
/// to be done.
double Reflector(double* x, int64_t n, double* target) {
  double peak = 0;
  for (int64_t i = 0; i < n; ++i) peak = std::max(peak, std::abs(x[i]));
  double tail = 0;
  for (int64_t i = 1; i < n && peak > 0; ++i) tail += (x[i] / peak) * (x[i] / peak);
  if (tail == 0) {
    *target = x[0];
    return 0;
  }
  for (int64_t i = 0; i < n; ++i) x[i] /= peak;
  const double norm = std::sqrt(x[0] * x[0] + tail), end = x[0] > 0 ? -norm : norm;
  *target = end * peak;
  x[0] -= end;
  return 2 / (x[0] * x[0] + tail);
}

/// A −= v·wᵀ + w·vᵀ, which is still to be done where w is not empty. Both are of A's size and index.
struct Update {
  const double* v = nullptr;
  std::vector<double> w;
};

void UpdateRow(const Kernels& kernels, const Update& update, int64_t i, double* row, int64_t first,
               int64_t n) {
  if (update.v == nullptr) return;
  kernels.add(-update.v[i], update.w.data() + first, row + first, n - first);
  kernels.add(-update.w[i], update.v + first, row + first, n - first);
}

}  // namespace

// Both triangles are kept, so that rows serve as columns. The update of one step and the product of the next
// pass over the matrix together.
void Tridiagonalise(double* a, int64_t n, double* diagonal, double* off, double* scales) {
  const Kernels& kernels = ChosenKernels();
  Update update;
  std::vector<double> p(n);
  for (int64_t k = 0; k < n; ++k) {
    double* const pivot = a + k * n;
    UpdateRow(kernels, update, k, pivot, k, n);
    diagonal[k] = pivot[k];
    const int64_t first = k + 1, count = n - first;
    scales[k] = count > 0 ? Reflector(pivot + first, count, off + k) : 0;
    const double scale = scales[k];
    const int64_t rows = std::max<int64_t>(kJob / std::max<int64_t>(count, 1), 1);
    ParallelFor((count + rows - 1) / rows, [&](int64_t job) {
      for (int64_t i = first + job * rows; i < std::min(first + (job + 1) * rows, n); ++i) {
        UpdateRow(kernels, update, i, a + i * n, first, n);
        if (scale != 0) p[i] = kernels.dot(a + i * n + first, pivot + first, count);
      }
    });
    update.v = scale == 0 ? nullptr : pivot;
    if (scale == 0) continue;
    const double along = scale * scale / 2 * kernels.dot(p.data() + first, pivot + first, count);
    for (int64_t i = first; i < n; ++i) p[i] = scale * p[i] - along * pivot[i];
    update.w = p;
  }
}

void TransformBack(const double* a, int64_t n, const double* scales, double* vectors, int64_t count) {
  const Kernels& kernels = ChosenKernels();
  ParallelFor((count + kVectors - 1) / kVectors, [&](int64_t job) {
    for (int64_t k = n - 2; k >= 0; --k) {
      if (scales[k] == 0) continue;
      const double* const v = a + k * n + k + 1;
      for (int64_t m = job * kVectors; m < std::min((job + 1) * kVectors, count); ++m) {
        double* const x = vectors + m * n + k + 1;
        kernels.add(-scales[k] * kernels.dot(v, x, n - k - 1), v, x, n - k - 1);
      }
    }
  });
}

void RemoveParts(double* vectors, int64_t n, int64_t first, int64_t m) {
  const Kernels& kernels = ChosenKernels();
  double* const x = vectors + m * n;
  for (int64_t k = first; k < m; ++k) kernels.add(-kernels.dot(vectors + k * n, x, n), vectors + k * n, x, n);
}

}  // namespace blockrank::linalg
