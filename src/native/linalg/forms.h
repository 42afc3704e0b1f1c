// The sums and quadratic forms that the steps of the BLAST fit are made of
// (graph-rewriter/factorize/blast/terms.ts has the maths). Blocks are counted by `blocks`; r is the rank, p a
// block's width; all arrays are dense and row-major.
#pragma once

#include <cstdint>

namespace blockrank::linalg {

/// Vectors of r scales: number (i, k) starts at data[i · outer + k · inner].
struct Scales {
  const double* data;
  int64_t outer, inner;
};

/// sums[i] = Σ_k diag(s_ik)·z[k], i < outputs, k < inputs; z and sums are of [r, p] matrices.
void Couple(const Scales& s, int64_t outputs, int64_t inputs, int64_t r, int64_t p, const double* z,
            double* sums);

/// sums[i, a] = ⟨m[i, a], v[a]⟩, m [blocks, r, p], v [r, p].
void RowProducts(const double* m, const double* v, int64_t blocks, int64_t r, int64_t p, double* sums);

/// form = Σ_i (s_i·s_iᵀ) ∘ g[i], [r, r].
void ColumnForm(const Scales& s, const double* g, int64_t blocks, int64_t r, double* form);

/// forms[i] = g[i] ∘ h, [blocks, r, r].
void ScaleForms(const double* g, const double* h, int64_t blocks, int64_t r, double* forms);

/// sums[i] += factor · (g[i] ∘ h)·s_i, [blocks, r].
void AddScaleShift(double factor, const double* g, const double* h, const Scales& s, int64_t blocks,
                   int64_t r, double* sums);

/// forms[i] += factor · (s_i·s_iᵀ) ∘ h, [blocks, r, r].
void AddScaledForm(double factor, const Scales& s, const double* h, int64_t blocks, int64_t r, double* forms);

}  // namespace blockrank::linalg
