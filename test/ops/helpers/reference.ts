/** The operators as float64 loops, straight from the formulas of docs/operators.md. */
import type { Values } from './values.js';

export type Structure = 'LowRankMatMul' | 'BlastMatMul' | 'MonarchMatMul';

export interface Layer {
  readonly structure: Structure;
  readonly in: number;
  readonly out: number;
  readonly blocksIn: number;
  readonly blocksOut: number;
  readonly rank: number;
  readonly interleaved: boolean;
}

/** Abramowitz & Stegun 7.1.5's series for small x, the continued fraction of erfc for large. */
export function erf(x: number): number {
  if (x < 0) return -erf(-x);
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 120; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return 1 - Math.exp(-x * x) / (fraction * Math.sqrt(Math.PI));
}

export const ACTIVATIONS: Readonly<Record<string, (v: number) => number>> = {
  none: (v) => v,
  relu: (v) => Math.max(v, 0),
  gelu: (v) => (v / 2) * (1 + erf(v / Math.SQRT2)),
  gelu_tanh: (v) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
  silu: (v) => v / (1 + Math.exp(-v)),
};

/** Ŵ, [out, in], row-major. */
export function denseWeight(layer: Layer, V: Values, U: Values, S?: Values): Float64Array {
  const { in: n, out: m, blocksIn, blocksOut, rank } = layer;
  const p = Math.ceil(n / blocksIn);
  const q = Math.ceil(m / blocksOut);
  const weight = new Float64Array(m * n);
  for (let o = 0; o < m; o++) {
    const i = layer.interleaved ? o % blocksOut : Math.floor(o / q);
    for (let c = 0; c < n; c++) {
      const j = Math.floor(c / p);
      for (let r = 0; r < rank; r++) {
        weight[o * n + c] +=
          layer.structure === 'MonarchMatMul'
            ? U.data[(o * blocksIn + j) * rank + r] * V.data[(i * rank + r) * n + c]
            : U.data[o * rank + r] * (S ? S.data[(i * blocksIn + j) * rank + r] : 1) * V.data[r * n + c];
      }
    }
  }
  return weight;
}

/** Σ_jr |U·S·t| for each y [tokens, out], with t = V x as stage 1 gives it. */
export function throughIntermediates(
  layer: Layer,
  X: Values,
  V: Values,
  U: Values,
  S?: Values,
): Float64Array {
  const { in: n, out: m, blocksIn, blocksOut, rank } = layer;
  const monarch = layer.structure === 'MonarchMatMul';
  const p = Math.ceil(n / blocksIn);
  const q = Math.ceil(m / blocksOut);
  const tokens = X.data.length / n;
  const sums = new Float64Array(tokens * m);
  for (let token = 0; token < tokens; token++) {
    // |t| of every row of V and block of columns.
    const rows = V.data.length / n;
    const t = new Float64Array(rows * blocksIn);
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < n; c++)
        t[row * blocksIn + Math.floor(c / p)] += V.data[row * n + c] * X.data[token * n + c];
    }
    for (let o = 0; o < m; o++) {
      const i = layer.interleaved ? o % blocksOut : Math.floor(o / q);
      for (let j = 0; j < blocksIn; j++) {
        for (let r = 0; r < rank; r++) {
          const u = monarch ? U.data[(o * blocksIn + j) * rank + r] : U.data[o * rank + r];
          const s = S ? S.data[(i * blocksIn + j) * rank + r] : 1;
          sums[token * m + o] += Math.abs(u * s * t[(monarch ? i * rank + r : r) * blocksIn + j]);
        }
      }
    }
  }
  return sums;
}

export interface Expectation {
  readonly y: Float64Array;
  /** Σ |w·x| + |b| for each y: what rounding errors are proportional to. */
  readonly magnitude: Float64Array;
}

export function apply(
  layer: Layer,
  weight: Float64Array,
  X: Values,
  B?: Values,
  activation = 'none',
): Expectation {
  const { in: n, out: m } = layer;
  const tokens = X.data.length / n;
  const y = new Float64Array(tokens * m);
  const magnitude = new Float64Array(tokens * m);
  for (let t = 0; t < tokens; t++) {
    for (let o = 0; o < m; o++) {
      let sum = B ? B.data[B.data.length === 1 ? 0 : o] : 0;
      let size = Math.abs(sum);
      for (let c = 0; c < n; c++) {
        const term = weight[o * n + c] * X.data[t * n + c];
        sum += term;
        size += Math.abs(term);
      }
      y[t * m + o] = ACTIVATIONS[activation](sum);
      magnitude[t * m + o] = size;
    }
  }
  return { y, magnitude };
}
