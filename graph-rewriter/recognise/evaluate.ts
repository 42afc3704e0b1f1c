// The operators of docs/operators.md on a few tokens, in float64: what a recognised layer has to compute.
import type { Factors } from '../factorize/types.js';

/** y [tokens, out] = x [tokens, in] · Ŵᵀ + bias; block counts divide. */
export function evaluateFactors(
  f: Factors,
  interleaved: boolean,
  bias: Float64Array,
  x: Float32Array,
): Float64Array {
  const tokens = x.length / f.in;
  const y = new Float64Array(tokens * f.out);
  for (let n = 0; n < tokens; n++) {
    const row = x.subarray(n * f.in, (n + 1) * f.in);
    for (let i = 0; i < f.blocksOut; i++) {
      const z = f.structure === 'monarch' ? undefined : mixed(f, i, row);
      for (let j = 0; j < (z ? 1 : f.blocksIn); j++)
        addRows(f, interleaved, i, j, z ?? projected(f, i, j, row), y, n * f.out);
    }
    for (let o = 0; o < f.out; o++) y[n * f.out + o] += bias[o];
  }
  return y;
}

/** z_i = Σ_j S_ij ⊙ V_j x_j */
function mixed(f: Factors, i: number, x: Float32Array): Float64Array {
  const z = new Float64Array(f.rank);
  for (let j = 0; j < f.blocksIn; j++) {
    const t = projected(f, 0, j, x);
    for (let k = 0; k < f.rank; k++) z[k] += (f.S?.[(i * f.blocksIn + j) * f.rank + k] ?? 1) * t[k];
  }
  return z;
}

/** V_j x_j, or V_ij x_j of Monarch. */
function projected(f: Factors, i: number, j: number, x: Float32Array): Float64Array {
  const p = f.in / f.blocksIn;
  const t = new Float64Array(f.rank);
  for (let k = 0; k < f.rank; k++)
    for (let c = j * p; c < (j + 1) * p; c++) t[k] += f.V[(i * f.rank + k) * f.in + c] * x[c];
  return t;
}

/** Adds U_i z, or U_ij t of Monarch, to the rows of block i. */
function addRows(
  f: Factors,
  interleaved: boolean,
  i: number,
  j: number,
  z: Float64Array,
  y: Float64Array,
  at: number,
): void {
  const q = f.out / f.blocksOut;
  const blocks = f.structure === 'monarch' ? f.blocksIn : 1;
  for (let row = 0; row < q; row++) {
    const o = interleaved ? row * f.blocksOut + i : i * q + row;
    for (let k = 0; k < f.rank; k++) y[at + o] += f.U[(o * blocks + j) * f.rank + k] * z[k];
  }
}
