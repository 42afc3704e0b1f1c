#include "forms.h"

#include <algorithm>
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace blockrank::linalg {
namespace {

/// Rows of r × p or r × r matrices in one job.
constexpr int64_t kRows = 16;

/// body(i, first, last) for rows first … last − 1 of each block i.
template <class Body>
void ForRows(int64_t blocks, int64_t r, const Body& body) {
  const int64_t jobs = (r + kRows - 1) / kRows;
  ParallelFor(blocks * jobs, [&](int64_t job) {
    const int64_t first = job % jobs * kRows;
    body(job / jobs, first, std::min(first + kRows, r));
  });
}

}  // namespace

void Couple(const Scales& s, int64_t outputs, int64_t inputs, int64_t r, int64_t p, const double* z,
            double* sums) {
  const auto add = ChosenKernels().add;
  ForRows(outputs, r, [&](int64_t i, int64_t first, int64_t last) {
    for (int64_t a = first; a < last; ++a) {
      double* const sum = sums + (i * r + a) * p;
      std::fill(sum, sum + p, 0.0);
      for (int64_t k = 0; k < inputs; ++k)
        add(s.data[i * s.outer + k * s.inner + a], z + (k * r + a) * p, sum, p);
    }
  });
}

void RowProducts(const double* m, const double* v, int64_t blocks, int64_t r, int64_t p, double* sums) {
  const auto dot = ChosenKernels().dot;
  ForRows(blocks, r, [&](int64_t i, int64_t first, int64_t last) {
    for (int64_t a = first; a < last; ++a) sums[i * r + a] = dot(m + (i * r + a) * p, v + a * p, p);
  });
}

void ColumnForm(const Scales& s, const double* g, int64_t blocks, int64_t r, double* form) {
  const auto add = ChosenKernels().add_product;
  ForRows(1, r, [&](int64_t, int64_t first, int64_t last) {
    std::fill(form + first * r, form + last * r, 0.0);
    for (int64_t i = 0; i < blocks; ++i) {
      const double* const scales = s.data + i * s.outer;
      for (int64_t a = first; a < last; ++a) add(scales[a], scales, g + (i * r + a) * r, form + a * r, r);
    }
  });
}

void ScaleForms(const double* g, const double* h, int64_t blocks, int64_t r, double* forms) {
  ForRows(blocks, r, [&](int64_t i, int64_t first, int64_t last) {
    const int64_t start = i * r * r;
    for (int64_t at = first * r; at < last * r; ++at) forms[start + at] = g[start + at] * h[at];
  });
}

void AddScaleShift(double factor, const double* g, const double* h, const Scales& s, int64_t blocks,
                   int64_t r, double* sums) {
  const Kernels& kernels = ChosenKernels();
  ForRows(blocks, r, [&](int64_t i, int64_t first, int64_t last) {
    std::vector<double> row(r);
    for (int64_t a = first; a < last; ++a) {
      std::fill(row.begin(), row.end(), 0.0);
      kernels.add_product(factor, g + (i * r + a) * r, h + a * r, row.data(), r);
      sums[i * r + a] += kernels.dot(row.data(), s.data + i * s.outer, r);
    }
  });
}

void AddScaledForm(double factor, const Scales& s, const double* h, int64_t blocks, int64_t r,
                   double* forms) {
  const auto add = ChosenKernels().add_product;
  ForRows(blocks, r, [&](int64_t i, int64_t first, int64_t last) {
    const double* const scales = s.data + i * s.outer;
    for (int64_t a = first; a < last; ++a)
      add(factor * scales[a], scales, h + a * r, forms + (i * r + a) * r, r);
  });
}

}  // namespace blockrank::linalg
