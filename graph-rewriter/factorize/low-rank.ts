import { stack, type Engine, type Stack } from './engine.js';
import { leadingVectors } from './linalg/subspace.js';
import type { Metric } from './metric.js';
import { chunks, type RowSource } from './rows.js';

/** left [rows, r] · right [r, cols], columns and rows of equal norm. */
export interface LowRank {
  readonly left: Float64Array;
  readonly right: Float64Array;
  readonly rank: number;
}

/**
 * The matrix of rank r nearest to A in tr(E·C·Eᵀ): P·Pᵀ·A with P the r leading eigenvectors of A·C·Aᵀ, which is the
 * truncated SVD of A·C^½ with the metric taken out again (SVD-LLM, arXiv 2403.07378, without its inverse).
 *
 * Works on the smaller Gram matrix, in double: squaring costs no accuracy that single precision factors could keep.
 */
export async function nearestLowRank(
  engine: Engine,
  a: RowSource,
  metric: Metric,
  rank: number,
): Promise<LowRank> {
  const factors =
    a.rows <= a.cols ? await byRows(engine, a, metric, rank) : await byColumns(engine, a, metric, rank);
  balance(factors.left, factors.right, rank);
  return { left: factors.left.data, right: factors.right.data, rank };
}

interface Factors {
  left: Stack;
  right: Stack;
}

/** P from the Gram A·C·Aᵀ, [rows, rows]; left = P, right = Pᵀ·A. */
async function byRows(engine: Engine, a: RowSource, metric: Metric, rank: number): Promise<Factors> {
  const n = a.rows;
  const { vectors } = await leadingVectors(engine, await rowGram(engine, a, metric), n, rank);
  const right = new Float64Array(rank * a.cols);
  const left = transpose(vectors, rank, n);
  for (const { start, end, values } of chunks(a)) {
    const p = stack(left.subarray(start * rank, end * rank), 1, end - start, rank);
    add(right, (await engine.multiply(p, values, 'left')).data);
  }
  return { left: stack(left, 1, n, rank), right: stack(right, 1, rank, a.cols) };
}

/**
 * With B = AᵀA, C = L·Lᵀ and Q, e the eigenpairs of Lᵀ·B·L, [cols, cols]: P = A·T with T = L·Q·e^(−½), so
 * left = A·T and right = Pᵀ·A = Tᵀ·B.
 */
async function byColumns(engine: Engine, a: RowSource, metric: Metric, rank: number): Promise<Factors> {
  const n = a.cols;
  const { gram, b, l } = await columnGram(engine, a, metric);
  const { values, vectors } = await leadingVectors(engine, gram.slice(), n, rank);
  const floor = values[0] * n * Number.EPSILON;
  for (let k = 0; k < rank; k++) {
    // Directions at rounding level carry nothing; their inverse root would blow noise up.
    const scale = values[k] > floor ? 1 / Math.sqrt(values[k]) : 0;
    for (let c = 0; c < n; c++) vectors[k * n + c] *= scale;
  }
  const q = stack(vectors, 1, rank, n);
  const t = l ? await engine.multiply(q, l, 'right') : q;
  const left = new Float64Array(a.rows * rank);
  for (const { start, values: rows } of chunks(a))
    left.set((await engine.multiply(rows, t, 'right')).data, start * rank);
  return { left: stack(left, 1, a.rows, rank), right: await engine.multiply(t, b) };
}

/** The smaller one of the two Gram matrices of A·C^½, n × n: its eigenvalues are what the best factors of each rank leave out. */
export async function smallerGram(
  engine: Engine,
  a: RowSource,
  metric: Metric,
): Promise<{ gram: Float64Array; n: number }> {
  if (a.rows <= a.cols) return { gram: await rowGram(engine, a, metric), n: a.rows };
  return { gram: (await columnGram(engine, a, metric)).gram, n: a.cols };
}

/** A·C·Aᵀ, [rows, rows] */
async function rowGram(engine: Engine, a: RowSource, metric: Metric): Promise<Float64Array> {
  const n = a.rows;
  const gram = new Float64Array(n * n);
  for (const upper of chunks(a)) {
    const weighted = await metric.apply(engine, upper.values);
    for (const lower of chunks(a)) {
      const part = await engine.multiply(weighted, lower.values, 'right');
      for (let row = 0; row < part.rows; row++)
        gram.set(
          part.data.subarray(row * part.cols, (row + 1) * part.cols),
          (upper.start + row) * n + lower.start,
        );
    }
  }
  return gram;
}

/** Lᵀ·B·L, [cols, cols], with B = AᵀA and L; L is absent where it is the identity. */
async function columnGram(engine: Engine, a: RowSource, metric: Metric) {
  const n = a.cols;
  const b = stack(new Float64Array(n * n), 1, n, n);
  for (const { values } of chunks(a)) add(b.data, (await engine.multiply(values, values, 'left')).data);
  const l = metric.isIdentity ? undefined : await metric.factor(engine);
  const gram = l ? await engine.multiply(l, await engine.multiply(b, l), 'left') : b;
  return { gram: gram.data, b, l };
}

/** Gives column k of left and row k of right the same Euclidean norm: the even split of scales. */
function balance(left: Stack, right: Stack, rank: number): void {
  const columns = new Float64Array(rank);
  for (let at = 0; at < left.data.length; at++) columns[at % rank] += left.data[at] ** 2;
  const factor = new Float64Array(rank);
  for (let k = 0; k < rank; k++) {
    let row = 0;
    for (let c = 0; c < right.cols; c++) row += right.data[k * right.cols + c] ** 2;
    factor[k] = row > 0 && columns[k] > 0 ? (row / columns[k]) ** 0.25 : 0;
    const inverse = factor[k] > 0 ? 1 / factor[k] : 0;
    for (let c = 0; c < right.cols; c++) right.data[k * right.cols + c] *= inverse;
  }
  for (let at = 0; at < left.data.length; at++) left.data[at] *= factor[at % rank];
}

function transpose(data: Float64Array, rows: number, cols: number): Float64Array {
  const result = new Float64Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) result[c * rows + r] = data[r * cols + c]!;
  return result;
}

function add(sum: Float64Array, term: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] += term[i];
}
