// Multiplies factors out: the dense weight that a node of ours stands for.
import type { Factors } from './factorize/types.js';

/** Ŵᵀ, [in, out], as MatMul takes it; sums in float64. `interleaved` is Monarch's other output order. */
export function denseTransposed(f: Factors, interleaved = false): Float32Array {
  const w = new Float32Array(f.in * f.out);
  const p = Math.ceil(f.in / f.blocksIn);
  const q = Math.ceil(f.out / f.blocksOut);
  const isMonarch = f.structure === 'monarch';
  // U's row of output o, block j: both structures keep the rank last.
  const stride = isMonarch ? f.blocksIn * f.rank : f.rank;
  const coefficients = new Float64Array(f.rank);
  for (let column = 0; column < f.in; column++) {
    const j = Math.floor(column / p);
    const shift = isMonarch ? j * f.rank : 0;
    for (let i = 0; i < f.blocksOut; i++) {
      fillCoefficients(coefficients, f, i, j, column);
      const [first, end, step] = interleaved
        ? [i, f.out, f.blocksOut]
        : [i * q, Math.min((i + 1) * q, f.out), 1];
      for (let o = first; o < end; o += step)
        w[column * f.out + o] = dot(f.U, o * stride + shift, coefficients);
    }
  }
  return w;
}

/** What the column adds to each rank of block (i, j): S_ij[k] · V[k, column], or V[i, k, column]. */
function fillCoefficients(into: Float64Array, f: Factors, i: number, j: number, column: number): void {
  const { rank } = f;
  if (f.structure === 'monarch') {
    for (let k = 0; k < rank; k++) into[k] = f.V[(i * rank + k) * f.in + column];
    return;
  }
  const s = (i * f.blocksIn + j) * rank;
  for (let k = 0; k < rank; k++) into[k] = f.V[k * f.in + column] * (f.S === undefined ? 1 : f.S[s + k]);
}

/** Two running sums: one alone would wait for itself at every step. */
function dot(u: Float32Array, offset: number, a: Float64Array): number {
  let even = 0;
  let odd = 0;
  let k = 0;
  for (; k + 1 < a.length; k += 2) {
    even += u[offset + k] * a[k];
    odd += u[offset + k + 1] * a[k + 1];
  }
  return k < a.length ? even + odd + u[offset + k] * a[k] : even + odd;
}
