import { stack, type Engine, type Stack } from '../engine.js';
import type { BlastProblem } from './problem.js';
import type { BlastState } from './state.js';

/*
 * What the steps on U, V and S are made of. A is the matrix to fit, T_i = [diag(s_i1)·V_1ᵀ … diag(s_ib)·V_bᵀ], so block row i
 * of the fit is U_i·T_i, and G_i = U_iᵀ·U_i. The residual E = A − Ŵ, [out, in], is never formed: U_iᵀ·(E·C)_ij is
 * U_iᵀ·(A·C)_ij − G_i·(T_i·C)_j, of r rows in place of q.
 */

/** G_i, [blocksOut, r, r] */
export function rowGrams(engine: Engine, { rows, rank }: BlastProblem, { u }: BlastState): Promise<Stack> {
  const blocks = stack(u, rows.count, rows.block, rank);
  return engine.multiply(blocks, blocks, 'left');
}

/** U_iᵀ·(A·C)_ij for all i, [blocksOut, r, p] */
export function projectedTarget(
  engine: Engine,
  { rows, rank, target }: BlastProblem,
  { u }: BlastState,
  j: number,
) {
  return engine.multiply(stack(u, rows.count, rows.block, rank), target[j], 'left');
}

/** V_kᵀ·C_kj, [r, p] */
export interface Image {
  readonly k: number;
  readonly data: Float64Array;
}

/** V_kᵀ·C_kj for every column k that column j meets: all of them, or j alone where C = I. */
export async function columnImages(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  j: number,
): Promise<Image[]> {
  const { columns, rank, covariance } = problem;
  if (!covariance) return [{ k: j, data: column(problem, state, j).data }];
  const length = rank * columns.block;
  const { data } = await engine.multiply(stack(state.v, columns.count, rank, columns.block), covariance[j]);
  return Array.from({ length: columns.count }, (_, k) => ({
    k,
    data: data.subarray(k * length, (k + 1) * length),
  }));
}

/** Σ_k diag(s_ik)·image_k for all i, [blocksOut, r, p]: of all images of column j, (T_i·C)_j. */
export function combine(problem: BlastProblem, s: Float64Array, images: readonly Image[]): Stack {
  const { rows, columns, rank } = problem;
  const sum = new Float64Array(rows.count * rank * columns.block);
  for (const { k, data } of images) addScaled(problem, s, k, data, sum);
  return stack(sum, rows.count, rank, columns.block);
}

/** sum_i += diag(s_ik)·z for all i; z is [r, p]. */
function addScaled(
  { rows, columns, rank }: BlastProblem,
  s: Float64Array,
  k: number,
  z: Float64Array,
  sum: Float64Array,
): void {
  const p = columns.block;
  for (let i = 0; i < rows.count; i++) {
    for (let a = 0; a < rank; a++) {
      const factor = s[(i * columns.count + k) * rank + a];
      const from = a * p;
      const to = (i * rank + a) * p;
      for (let c = 0; c < p; c++) sum[to + c] += factor * z[from + c];
    }
  }
}

/** Σ_i diag(s_ij)·m_i, [1, r, p], of m [blocksOut, r, p]: half the gradient of V_jᵀ when m is the projected residual. */
export function scaledSum(
  { rows, columns, rank }: BlastProblem,
  s: Float64Array,
  j: number,
  m: Stack,
): Stack {
  const p = columns.block;
  const sum = new Float64Array(rank * p);
  for (let i = 0; i < rows.count; i++) {
    for (let a = 0; a < rank; a++) {
      const factor = s[(i * columns.count + j) * rank + a];
      const from = (i * rank + a) * p;
      for (let c = 0; c < p; c++) sum[a * p + c] += factor * m.data[from + c];
    }
  }
  return stack(sum, 1, rank, p);
}

/** Σ_i (s_ij·s_ijᵀ) ∘ G_i, [r, r]: the quadratic form of V_j. */
export function columnForm(problem: BlastProblem, s: Float64Array, grams: Stack, j: number): Float64Array {
  const { rows, columns, rank } = problem;
  const form = new Float64Array(rank * rank);
  for (let i = 0; i < rows.count; i++) {
    const at = (i * columns.count + j) * rank;
    for (let a = 0; a < rank; a++) {
      const gram = (i * rank + a) * rank;
      for (let c = 0; c < rank; c++) form[a * rank + c] += s[at + a] * s[at + c] * grams.data[gram + c];
    }
  }
  return form;
}

/** G_i ∘ (V_jᵀ·C_jj·V_j), [r, r]: the quadratic form of s_ij. */
export function scaleForm(grams: Stack, inner: Stack, i: number): Float64Array {
  const size = inner.data.length;
  const form = new Float64Array(size);
  for (let at = 0; at < size; at++) form[at] = grams.data[i * size + at] * inner.data[at];
  return form;
}

/** diag(m_i·V_j), [r], of m [blocksOut, r, p]: half the gradient of s_ij when m is the projected residual. */
export function scaleGradient(
  { columns, rank }: BlastProblem,
  { v }: BlastState,
  m: Stack,
  i: number,
  j: number,
) {
  const p = columns.block;
  const gradient = new Float64Array(rank);
  for (let a = 0; a < rank; a++) {
    const from = (i * rank + a) * p;
    const to = (j * rank + a) * p;
    for (let c = 0; c < p; c++) gradient[a] += m.data[from + c] * v[to + c];
  }
  return gradient;
}

/** What the step of U needs. */
export interface RowTerms {
  /** A_i·C·T_iᵀ, [blocksOut, q, r] */
  readonly target: Stack;
  /** K_i = T_i·C·T_iᵀ, [blocksOut, r, r]: the quadratic form of U_i. */
  readonly form: Stack;
}

/**
 * Gathers the row terms from one column after another, when column j is final and those before it are: of the pairs
 * (j, k) it takes k < j and half of k = j, and adds the transpose of it all at the end.
 */
export class RowTermsBuilder {
  private readonly target: Float64Array;
  private readonly half: Float64Array;

  constructor(private readonly problem: BlastProblem) {
    const { rows, rank } = problem;
    this.target = new Float64Array(rows.count * rows.block * rank);
    this.half = new Float64Array(rows.count * rank * rank);
  }

  /** `before` are the images of column j for k < j, `inner` is V_jᵀ·C_jj·V_j. */
  async add(
    engine: Engine,
    state: BlastState,
    j: number,
    before: readonly Image[],
    inner: Stack,
  ): Promise<void> {
    const { problem, half } = this;
    const { rows, columns, rank, target } = problem;
    const scaled = combine(problem, state.s, [{ k: j, data: column(problem, state, j).data }]);
    add(this.target, (await engine.multiply(target[j], scaled, 'right')).data);
    if (before.length > 0)
      add(half, (await engine.multiply(combine(problem, state.s, before), scaled, 'right')).data);
    for (let i = 0; i < rows.count; i++) {
      const at = (i * columns.count + j) * rank;
      for (let a = 0; a < rank; a++) {
        const factor = state.s[at + a] / 2;
        const to = (i * rank + a) * rank;
        for (let c = 0; c < rank; c++) half[to + c] += factor * state.s[at + c] * inner.data[a * rank + c];
      }
    }
  }

  build(): RowTerms {
    const { rows, rank } = this.problem;
    const form = this.half.slice();
    for (let i = 0; i < rows.count; i++) {
      const at = i * rank * rank;
      for (let a = 0; a < rank; a++)
        for (let c = 0; c < rank; c++) form[at + a * rank + c] += this.half[at + c * rank + a];
    }
    return {
      target: stack(this.target, rows.count, rows.block, rank),
      form: stack(form, rows.count, rank, rank),
    };
  }
}

/** tr(E·C·Eᵀ) = tr(A·C·Aᵀ) − 2 Σ ⟨U_i, A_i·C·T_iᵀ⟩ + Σ ⟨G_i, T_i·C·T_iᵀ⟩ */
export function objective(
  { energy }: BlastProblem,
  { u }: BlastState,
  terms: RowTerms,
  grams: Stack,
): number {
  return energy - 2 * inner(u, terms.target.data) + inner(grams.data, terms.form.data);
}

/** V_jᵀ, [1, r, p], as a view. */
export function column({ columns, rank }: BlastProblem, { v }: BlastState, j: number): Stack {
  const length = rank * columns.block;
  return stack(v.subarray(j * length, (j + 1) * length), 1, rank, columns.block);
}

export function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}

/** a += factor·b */
export function add(a: Float64Array, b: Float64Array, factor = 1): void {
  for (let at = 0; at < a.length; at++) a[at] += factor * b[at];
}
