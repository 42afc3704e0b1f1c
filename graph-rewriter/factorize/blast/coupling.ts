import type { BlastProblem } from './problem.js';
import type { BlastState } from './state.js';

/*
 * The r × r sums by which the blocks of BLAST factors act on each other: G_i = U_iᵀ·U_i and P_jk = V_jᵀ·C_jk·V_k. A
 * diagonal factor beside a matrix is an elementwise product, so b Gram matrices serve all b² blocks. `reach` lists the columns
 * k that column j meets; arrays that run over k have [r, reach, r].
 */

/** M_jk = Σ_i (s_ij·s_ikᵀ) ∘ G_i for k in reach, [r, reach, r] */
export function rowCoupling(
  { rows, columns, rank }: BlastProblem,
  s: Float64Array,
  grams: Float64Array,
  j: number,
  reach: readonly number[],
): Float64Array {
  const sum = new Float64Array(rank * reach.length * rank);
  for (let i = 0; i < rows.count; i++) {
    const sj = (i * columns.count + j) * rank;
    for (let a = 0; a < rank; a++) {
      const factor = s[sj + a];
      const gram = (i * rank + a) * rank;
      for (let n = 0; n < reach.length; n++) {
        const sk = (i * columns.count + reach[n]) * rank;
        const to = (a * reach.length + n) * rank;
        for (let c = 0; c < rank; c++) sum[to + c] += factor * s[sk + c] * grams[gram + c];
      }
    }
  }
  return sum;
}

/** H_ij = G_i ∘ P_jj, [r, r] */
export function blockCoupling(
  grams: Float64Array,
  products: Float64Array,
  i: number,
  own: number,
  rank: number,
  reach: number,
): Float64Array {
  const h = new Float64Array(rank * rank);
  for (let a = 0; a < rank; a++) {
    const gram = (i * rank + a) * rank;
    const from = (a * reach + own) * rank;
    for (let c = 0; c < rank; c++) h[a * rank + c] = grams[gram + c] * products[from + c];
  }
  return h;
}

/** h_ij = diag(U_iᵀ·(E·C)_ij·V_j) = diag(U_iᵀ·(A·C)_ij·V_j) − Σ_k (G_i ∘ P_jk)·s_ik, [r] */
export function couplingGradient(
  { columns, rank }: BlastProblem,
  { s, v }: BlastState,
  grams: Float64Array,
  projected: Float64Array,
  products: Float64Array,
  i: number,
  j: number,
  reach: readonly number[],
): Float64Array {
  const p = columns.block;
  const h = new Float64Array(rank);
  for (let a = 0; a < rank; a++) {
    let sum = 0;
    const from = (i * rank + a) * p;
    const to = (j * rank + a) * p;
    for (let c = 0; c < p; c++) sum += projected[from + c] * v[to + c];
    const gram = (i * rank + a) * rank;
    for (let n = 0; n < reach.length; n++) {
      const sk = (i * columns.count + reach[n]) * rank;
      const product = (a * reach.length + n) * rank;
      for (let c = 0; c < rank; c++) sum -= grams[gram + c] * products[product + c] * s[sk + c];
    }
    h[a] = sum;
  }
  return h;
}

/** Adds to K_i = Σ_jk (s_ij·s_ikᵀ) ∘ P_jk the terms of j with every column k ≤ j; columns after j are not final yet. */
export function columnCoupling(
  { rows, columns, rank }: BlastProblem,
  s: Float64Array,
  products: Float64Array,
  j: number,
  reach: readonly number[],
  sum: Float64Array,
): void {
  for (let i = 0; i < rows.count; i++) {
    const sj = (i * columns.count + j) * rank;
    for (let n = 0; n < reach.length && reach[n] <= j; n++) {
      const sk = (i * columns.count + reach[n]) * rank;
      for (let a = 0; a < rank; a++) {
        const factor = s[sj + a];
        const product = (a * reach.length + n) * rank;
        const row = (i * rank + a) * rank;
        for (let c = 0; c < rank; c++) {
          const term = factor * s[sk + c] * products[product + c];
          sum[row + c] += term;
          if (reach[n] !== j) sum[(i * rank + c) * rank + a] += term;
        }
      }
    }
  }
}
