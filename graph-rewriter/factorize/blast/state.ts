import { range } from '../partition.js';
import type { Factors, StructureSpec } from '../types.js';
import type { BlastProblem } from './problem.js';

/** BLAST factors while they are fitted: in double, blocks padded to full size. */
export interface BlastState {
  /** [blocksOut, q, r] */
  readonly u: Float64Array;
  /** V_jᵀ, [blocksIn, r, p] */
  readonly v: Float64Array;
  /** [blocksOut, blocksIn, r] */
  readonly s: Float64Array;
}

export function emptyState({ rows, columns, rank }: BlastProblem): BlastState {
  return {
    u: new Float64Array(rows.count * rows.block * rank),
    v: new Float64Array(columns.count * rank * columns.block),
    s: new Float64Array(rows.count * columns.count * rank),
  };
}

export function cloneState({ u, v, s }: BlastState): BlastState {
  return { u: u.slice(), v: v.slice(), s: s.slice() };
}

/** Factors as stored; low-rank ones have S = 1. Rows of U are multiplied by `scale`. */
export function fromFactors(problem: BlastProblem, factors: Factors, scale?: Float32Array): BlastState {
  const { columns, rank } = problem;
  const state = emptyState(problem);
  for (let at = 0; at < factors.U.length; at++)
    state.u[at] = factors.U[at] * (scale ? scale[Math.floor(at / rank)] : 1);
  for (let j = 0; j < columns.count; j++) {
    const [left, right] = range(columns, j);
    for (let k = 0; k < rank; k++)
      state.v.set(
        factors.V.subarray(k * columns.size + left, k * columns.size + right),
        (j * rank + k) * columns.block,
      );
  }
  if (factors.S) state.s.set(factors.S);
  else state.s.fill(1);
  return state;
}

/** The state as factors in float32, scales split by `balance`. Rows of U are divided by `scale`. */
export function toFactors(
  spec: StructureSpec,
  problem: BlastProblem,
  state: BlastState,
  scale?: Float32Array,
): Factors {
  const { rows, columns, rank } = problem;
  const { u, v, s } = balance(problem, cloneState(state));
  const V = new Float32Array(rank * columns.size);
  for (let j = 0; j < columns.count; j++) {
    const [left, right] = range(columns, j);
    for (let k = 0; k < rank; k++) {
      const at = (j * rank + k) * columns.block;
      V.set(v.subarray(at, at + right - left), k * columns.size + left);
    }
  }
  const U = Float32Array.from(u.subarray(0, rows.size * rank));
  if (scale) for (let at = 0; at < U.length; at++) U[at] = u[at] / scale[Math.floor(at / rank)];
  return { ...spec, in: columns.size, out: rows.size, V, S: Float32Array.from(s), U };
}

/**
 * Rescales in place, Ŵ unchanged: for each k, column k of every U_i and V_j gets one norm, and s_ij[k] the root mean square 1
 * over the blocks, so that all three factors are of moderate size when they are stored in half precision.
 */
function balance({ rows, columns, rank }: BlastProblem, state: BlastState): BlastState {
  const { u, v, s } = state;
  for (let k = 0; k < rank; k++) {
    const uNorms = Float64Array.from({ length: rows.count }, (_, i) =>
      norm(u, i * rows.block * rank + k, rows.block, rank),
    );
    const vNorms = Float64Array.from({ length: columns.count }, (_, j) =>
      norm(v, (j * rank + k) * columns.block, columns.block, 1),
    );
    let square = 0;
    for (let i = 0; i < rows.count; i++)
      for (let j = 0; j < columns.count; j++)
        square += (s[(i * columns.count + j) * rank + k] *= uNorms[i] * vNorms[j]) ** 2;
    const size = Math.sqrt(square / (rows.count * columns.count));
    const share = Math.sqrt(size);
    uNorms.forEach((value, i) =>
      scaleBy(u, i * rows.block * rank + k, rows.block, rank, value > 0 ? share / value : 0),
    );
    vNorms.forEach((value, j) =>
      scaleBy(v, (j * rank + k) * columns.block, columns.block, 1, value > 0 ? share / value : 0),
    );
    for (let at = k; at < s.length; at += rank) s[at] = size > 0 ? s[at] / size : 0;
  }
  return state;
}

function norm(values: Float64Array, start: number, count: number, step: number): number {
  let sum = 0;
  for (let n = 0, at = start; n < count; n++, at += step) sum += values[at] ** 2;
  return Math.sqrt(sum);
}

function scaleBy(values: Float64Array, start: number, count: number, step: number, factor: number): void {
  for (let n = 0, at = start; n < count; n++, at += step) values[at] *= factor;
}
