// The operators as plain loops in float64, from docs/operators.md.
import type { Factors } from '../../../graph-rewriter/factorize/types.js';
import type { Activation } from '../../../graph-rewriter/types.js';
import { gelu, geluTanh, relu, silu } from '../../../graph-rewriter/rules/elementwise.js';

/** Ŵ, [out, in]. */
export function denseWeight(f: Factors, interleaved = false): Float64Array {
  const w = new Float64Array(f.out * f.in);
  const p = Math.ceil(f.in / f.blocksIn);
  const q = Math.ceil(f.out / f.blocksOut);
  for (let o = 0; o < f.out; o++)
    for (let c = 0; c < f.in; c++) {
      const j = Math.floor(c / p);
      const i = interleaved ? o % f.blocksOut : Math.floor(o / q);
      for (let k = 0; k < f.rank; k++) w[o * f.in + c] += term(f, o, c, i, j, k);
    }
  return w;
}

function term(f: Factors, o: number, c: number, i: number, j: number, k: number): number {
  if (f.structure === 'monarch')
    return f.U[(o * f.blocksIn + j) * f.rank + k] * f.V[(i * f.rank + k) * f.in + c];
  const s = f.S === undefined ? 1 : f.S[(i * f.blocksIn + j) * f.rank + k];
  return f.U[o * f.rank + k] * s * f.V[k * f.in + c];
}

/** activation(X · Wᵀ + B) for X [tokens, in], W [out, in]. */
export function denseProduct(
  x: Float32Array,
  w: Float64Array,
  shape: { in: number; out: number },
  bias: Float32Array | undefined,
  activation: Activation,
): Float64Array {
  const tokens = x.length / shape.in;
  const y = new Float64Array(tokens * shape.out);
  for (let n = 0; n < tokens; n++)
    for (let o = 0; o < shape.out; o++) {
      let sum = bias === undefined ? 0 : bias[bias.length === 1 ? 0 : o];
      for (let c = 0; c < shape.in; c++) sum += x[n * shape.in + c] * w[o * shape.in + c];
      y[n * shape.out + o] = ACTIVATE[activation](sum);
    }
  return y;
}

export const ACTIVATE: Record<Activation, (v: number) => number> = {
  none: (v) => v,
  relu,
  gelu,
  gelu_tanh: geluTanh,
  silu,
};

/** Uniform in −1 … 1, from a seed (mulberry32). */
export function random(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}

export function randomFactors(spec: Omit<Factors, 'V' | 'S' | 'U'>, seed: number): Factors {
  const { structure, rank, blocksIn, blocksOut } = spec;
  const monarch = structure === 'monarch';
  return {
    ...spec,
    V: random((monarch ? blocksOut : 1) * rank * spec.in, seed),
    U: random(spec.out * (monarch ? blocksIn : 1) * rank, seed + 1),
    ...(structure === 'blast' && { S: random(blocksOut * blocksIn * rank, seed + 2) }),
  };
}

/** Largest |a − b| over the largest |b|; NaN where either has one. */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return NaN;
  let difference = 0;
  let scale = 1e-30;
  for (let i = 0; i < a.length; i++) {
    if (!Number.isFinite(a[i]) || !Number.isFinite(b[i])) return NaN;
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return difference / scale;
}
