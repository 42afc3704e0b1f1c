// The loops of linear algebra that are no matrix products: plain ones, or native ones (src/native/linalg) where those are loaded.
import { plainCholesky, plainInvertLower, plainSolve } from './linalg/cholesky.js';
import { plainRemoveParts, plainTransformBack, plainTridiagonalise } from './linalg/reflectors.js';
import * as forms from './linalg/forms.js';

/** Vectors of r numbers: number (i, k) starts at data[i · outer + k · inner]. */
export interface Scales {
  readonly data: Float64Array;
  readonly outer: number;
  readonly inner: number;
}

/** All arrays are dense and row-major; `count` and `blocks` say how many matrices follow each other. Results go to the last argument, or in place. */
export interface Loops {
  /** Matrices of up to twice this size are handed over whole; larger ones go through products (linalg/blocked.ts). */
  readonly panel: number;
  /** L with L·Lᵀ = A in the lower triangle of each a [n, n]; false where a pivot of any is not positive. What is above is undefined. */
  cholesky(a: Float64Array, n: number, count: number): boolean;
  /** L⁻¹ of each l [n, n], zeros above the diagonal. */
  invertLower(l: Float64Array, n: number, count: number, inverse: Float64Array): void;
  /** x with L·Lᵀ·x = b in place of each b [n]. */
  solveCholesky(l: Float64Array, n: number, count: number, b: Float64Array): void;
  /** Qᵀ·A·Q tridiagonal; reflector k is I − scales[k]·v·vᵀ with v in a[k, k + 1 …]. */
  tridiagonalise(
    a: Float64Array,
    n: number,
    diagonal: Float64Array,
    offDiagonal: Float64Array,
    scales: Float64Array,
  ): void;
  /** Q·x for each row x of vectors [count, n]. */
  transformBack(a: Float64Array, n: number, scales: Float64Array, vectors: Float64Array, count: number): void;
  /** Removes from row m its parts along rows first … m − 1, which are orthonormal. */
  removeParts(vectors: Float64Array, n: number, first: number, m: number): void;
  /** sums[i] = Σ_k diag(s_ik)·z[k], z [inputs, r, p], sums [outputs, r, p]. */
  couple(
    s: Scales,
    outputs: number,
    inputs: number,
    r: number,
    p: number,
    z: Float64Array,
    sums: Float64Array,
  ): void;
  /** sums[i, a] = ⟨m[i, a], v[a]⟩, m [blocks, r, p], v [r, p]. */
  rowProducts(
    m: Float64Array,
    v: Float64Array,
    blocks: number,
    r: number,
    p: number,
    sums: Float64Array,
  ): void;
  /** form = Σ_i (s_i·s_iᵀ) ∘ g[i], g [blocks, r, r]. */
  columnForm(s: Scales, g: Float64Array, blocks: number, r: number, form: Float64Array): void;
  /** forms[i] = g[i] ∘ h, [blocks, r, r]. */
  scaleForms(g: Float64Array, h: Float64Array, blocks: number, r: number, forms: Float64Array): void;
  /** sums[i] += factor · (g[i] ∘ h)·s_i, [blocks, r]. */
  addScaleShift(
    factor: number,
    g: Float64Array,
    h: Float64Array,
    s: Scales,
    blocks: number,
    r: number,
    sums: Float64Array,
  ): void;
  /** forms[i] += factor · (s_i·s_iᵀ) ∘ h, [blocks, r, r]. */
  addScaledForm(
    factor: number,
    s: Scales,
    h: Float64Array,
    blocks: number,
    r: number,
    forms: Float64Array,
  ): void;
}

export const plainLoops: Loops = {
  // Above two panels products pay for their handing over.
  panel: 128,
  cholesky: plainCholesky,
  invertLower: plainInvertLower,
  solveCholesky: plainSolve,
  tridiagonalise: plainTridiagonalise,
  transformBack: plainTransformBack,
  removeParts: plainRemoveParts,
  ...forms,
};
