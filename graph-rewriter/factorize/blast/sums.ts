import { stack, type Engine, type Stack } from '../engine.js';
import type { BlastProblem } from './problem.js';
import type { BlastState } from './state.js';

/** What an update of U needs of all columns, with T_i = [diag(s_i1)·V_1ᵀ … diag(s_ib)·V_bᵀ]. */
export interface RowSums {
  /** A_i·C·T_iᵀ, [blocksOut, q, r] */
  readonly target: Float64Array;
  /** K_i = T_i·C·T_iᵀ, [blocksOut, r, r] */
  readonly coupling: Float64Array;
}

export function rowSums({ rows, rank }: BlastProblem): RowSums {
  return {
    target: new Float64Array(rows.count * rows.block * rank),
    coupling: new Float64Array(rows.count * rank * rank),
  };
}

/** G_i = U_iᵀ·U_i, [blocksOut, r, r] */
export async function rowGrams(
  engine: Engine,
  { rows, rank }: BlastProblem,
  { u }: BlastState,
): Promise<Float64Array> {
  const blocks = stack(u, rows.count, rows.block, rank);
  return (await engine.multiply(blocks, blocks, 'left')).data;
}

/** tr(E·C·Eᵀ) = tr(A·C·Aᵀ) − 2 Σ ⟨U_i, A_i·C·T_iᵀ⟩ + Σ ⟨G_i, K_i⟩ */
export function objective(
  { energy }: BlastProblem,
  { u }: BlastState,
  sums: RowSums,
  grams: Float64Array,
): number {
  let cross = 0;
  for (let at = 0; at < u.length; at++) cross += u[at] * sums.target[at];
  let square = 0;
  for (let at = 0; at < grams.length; at++) square += grams[at] * sums.coupling[at];
  return energy - 2 * cross + square;
}

/** Σ_i s_ij ∘ projected_i, [r, p], of projected_i = U_iᵀ·(A·C)_ij */
export function scaledSum(
  { rows, columns, rank }: BlastProblem,
  s: Float64Array,
  projected: Stack,
  j: number,
): Float64Array {
  const p = columns.block;
  const sum = new Float64Array(rank * p);
  for (let i = 0; i < rows.count; i++) {
    for (let k = 0; k < rank; k++) {
      const factor = s[(i * columns.count + j) * rank + k];
      const from = (i * rank + k) * p;
      for (let c = 0; c < p; c++) sum[k * p + c] += factor * projected.data[from + c];
    }
  }
  return sum;
}

/** sum_i += seen_i·diag(s_ij), [blocksOut, q, r], of seen_i = (A·C)_ij·V_j */
export function addScaled(
  { rows, columns, rank }: BlastProblem,
  s: Float64Array,
  seen: Float64Array,
  j: number,
  sum: Float64Array,
): void {
  for (let i = 0; i < rows.count; i++) {
    const scales = s.subarray((i * columns.count + j) * rank, (i * columns.count + j + 1) * rank);
    for (let o = i * rows.block; o < (i + 1) * rows.block; o++)
      for (let k = 0; k < rank; k++) sum[o * rank + k] += scales[k] * seen[o * rank + k];
  }
}
