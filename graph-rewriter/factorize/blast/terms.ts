import { stack, type Engine, type Stack } from '../engine.js';
import type { BlastProblem } from './problem.js';
import type { Scales } from '../loops.js';
import type { BlastState } from './state.js';

/*
 * What the steps on U, V and S are made of. A is the matrix to fit, T_i = [diag(s_i1)·V_1ᵀ … diag(s_ib)·V_bᵀ], so block row i
 * of the fit is U_i·T_i, and G_i = U_iᵀ·U_i. The residual E = A − Ŵ, [out, in], is never formed: U_iᵀ·(E·C)_ij is
 * U_iᵀ·(A·C)_ij − G_i·(T_i·C)_j, of r rows in place of q.
 */

/** G_i, [blocksOut, r, r] */
export function rowGrams(
  engine: Engine,
  { rows, rank, room }: BlastProblem,
  { u }: BlastState,
): Promise<Stack> {
  const blocks = stack(u, rows.count, rows.block, rank);
  return engine.multiply(blocks, blocks, 'left', room.of('grams', rows.count * rank * rank));
}

/** U_iᵀ·(A·C)_ij for all i, [blocksOut, r, p] */
export function projectedTarget(
  engine: Engine,
  { rows, columns, rank, target, room }: BlastProblem,
  { u }: BlastState,
  j: number,
) {
  const result = room.of(`projected ${j}`, rows.count * rank * columns.block);
  return engine.multiply(stack(u, rows.count, rows.block, rank), target[j], 'left', result);
}

/** V_kᵀ·C_kj, [count, r, p], of the columns k from `first` on. */
export interface Images {
  readonly first: number;
  readonly count: number;
  readonly data: Float64Array;
}

/** V_kᵀ·C_kj for every column k that column j meets: all of them, or j alone where C = I. */
export async function columnImages(
  engine: Engine,
  problem: BlastProblem,
  state: BlastState,
  j: number,
): Promise<Images> {
  const { columns, rank, covariance, room } = problem;
  if (!covariance) return { first: j, count: 1, data: column(problem, state, j).data };
  const v = stack(state.v, columns.count, rank, columns.block);
  const { data } = await engine.multiply(v, covariance[j], 'none', room.of('images', v.data.length));
  return { first: 0, count: columns.count, data };
}

/** Σ_k diag(s_ik)·image_k for all i, [blocksOut, r, p]: of all images of column j, (T_i·C)_j. */
export function combine(
  { loops }: Engine,
  { rows, columns, rank, room }: BlastProblem,
  s: Float64Array,
  { first, count, data }: Images,
  use = 'combined',
): Stack {
  const sum = room.of(use, rows.count * rank * columns.block);
  const scales = { data: s.subarray(first * rank), outer: columns.count * rank, inner: rank };
  loops.couple(scales, rows.count, count, rank, columns.block, data, sum);
  return stack(sum, rows.count, rank, columns.block);
}

/** Σ_i diag(s_ij)·m_i, [1, r, p], of m [blocksOut, r, p]: half the gradient of V_jᵀ when m is the projected residual. */
export function scaledSum(
  { loops }: Engine,
  { rows, columns, rank, room }: BlastProblem,
  s: Float64Array,
  j: number,
  m: Stack,
): Stack {
  const sum = room.of('sum', rank * columns.block);
  const scales = { data: s.subarray(j * rank), outer: 0, inner: columns.count * rank };
  loops.couple(scales, 1, rows.count, rank, columns.block, m.data, sum);
  return stack(sum, 1, rank, columns.block);
}

/** The s_ij of all i. */
export function columnScales({ columns, rank }: BlastProblem, s: Float64Array, j: number): Scales {
  return { data: s.subarray(j * rank), outer: columns.count * rank, inner: 0 };
}

/** Σ_i (s_ij·s_ijᵀ) ∘ G_i, [r, r]: the quadratic form of V_j. */
export function columnForm(
  { loops }: Engine,
  problem: BlastProblem,
  s: Float64Array,
  grams: Stack,
  j: number,
): Float64Array {
  const { rows, rank, room } = problem;
  const form = room.of('form', rank * rank);
  loops.columnForm(columnScales(problem, s, j), grams.data, rows.count, rank, form);
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

/** `scaleForm` for all i, [blocksOut, r, r]. */
export function scaleForms(
  { loops }: Engine,
  { rows, rank, room }: BlastProblem,
  grams: Stack,
  inner: Stack,
) {
  const forms = room.of('forms', rows.count * rank * rank);
  loops.scaleForms(grams.data, inner.data, rows.count, rank, forms);
  return forms;
}

/** `scaleGradient` for all i, [blocksOut, r]. */
export function scaleGradients(
  { loops }: Engine,
  problem: BlastProblem,
  state: BlastState,
  m: Stack,
  j: number,
): Float64Array {
  const { rows, columns, rank } = problem;
  const gradients = new Float64Array(rows.count * rank);
  loops.rowProducts(m.data, column(problem, state, j).data, rows.count, rank, columns.block, gradients);
  return gradients;
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

  /** `images` are those of column j, `inner` is V_jᵀ·C_jj·V_j. */
  async add(engine: Engine, state: BlastState, j: number, images: Images, inner: Stack): Promise<void> {
    const { problem, half } = this;
    const { rows, rank, target, room } = problem;
    const own = { first: j, count: 1, data: column(problem, state, j).data };
    const scaled = combine(engine, problem, state.s, own, 'scaled');
    const part = room.of('row target', this.target.length);
    add(this.target, (await engine.multiply(target[j], scaled, 'right', part)).data);
    const before = j - images.first;
    if (before > 0) {
      const coupled = combine(engine, problem, state.s, { ...images, count: before });
      add(half, (await engine.multiply(coupled, scaled, 'right', room.of('row form', half.length))).data);
    }
    const scales = columnScales(problem, state.s, j);
    engine.loops.addScaledForm(0.5, scales, inner.data, rows.count, rank, half);
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
