import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import type { DenseWeight, Factors } from '../../graph-rewriter/factorize/types.js';

/** Ŵ[o, c] read off docs/operators.md, one element at a time. */
export function element(f: Factors, o: number, c: number): number {
  const i = Math.floor(o / Math.ceil(f.out / f.blocksOut));
  const j = Math.floor(c / Math.ceil(f.in / f.blocksIn));
  let sum = 0;
  for (let k = 0; k < f.rank; k++) {
    if (f.structure === 'monarch') {
      sum += f.U[(o * f.blocksIn + j) * f.rank + k] * f.V[(i * f.rank + k) * f.in + c];
    } else {
      const s = f.S ? f.S[(i * f.blocksIn + j) * f.rank + k] : 1;
      sum += f.U[o * f.rank + k] * s * f.V[k * f.in + c];
    }
  }
  return sum;
}

export function errorMatrix(w: DenseWeight, f: Factors): Float64Array {
  return Float64Array.from(w.data, (value, at) => value - element(f, Math.floor(at / w.in), at % w.in));
}

/** tr(diag(d)·A·C·Aᵀ·diag(d)) of A [out, in] by plain loops. */
export function energy(
  a: ArrayLike<number>,
  out: number,
  width: number,
  covariance?: ArrayLike<number>,
  scale?: ArrayLike<number>,
): number {
  let total = 0;
  for (let o = 0; o < out; o++) {
    let row = 0;
    for (let c = 0; c < width; c++) {
      if (!covariance) row += a[o * width + c] ** 2;
      else
        for (let e = 0; e < width; e++)
          row += a[o * width + c] * covariance[c * width + e] * a[o * width + e];
    }
    total += row * (scale ? scale[o] ** 2 : 1);
  }
  return total;
}

export function weightedError(
  w: DenseWeight,
  f: Factors,
  covariance?: Float32Array,
  scale?: Float32Array,
): number {
  const error = energy(errorMatrix(w, f), w.out, w.in, covariance, scale);
  return Math.sqrt(error / energy(w.data, w.out, w.in, covariance, scale));
}

/** Gaussian factors with a power-law spectrum k^−decay: real weights lie between decay 0 and 1. */
export function randomWeight(out: number, width: number, { seed = 1, decay = 0.5 } = {}): DenseWeight {
  const random = randomNormal(seed);
  const size = Math.min(out, width);
  const left = Float64Array.from({ length: out * size }, random);
  const right = Float64Array.from({ length: size * width }, random);
  const sums = new Float64Array(out * width);
  for (let k = 0; k < size; k++) {
    const value = (k + 1) ** -decay / Math.sqrt(size);
    for (let o = 0; o < out; o++)
      for (let c = 0; c < width; c++)
        sums[o * width + c] += value * left[o * size + k] * right[k * width + c];
  }
  const data = Float32Array.from(sums);
  return { out, in: width, data };
}

/** E[x xᵀ] of `samples` correlated rows whose features differ in size by orders of magnitude. */
export function randomCovariance(size: number, { seed = 2, samples = 4 * size } = {}): Float32Array {
  const random = randomNormal(seed);
  const sum = new Float64Array(size * size);
  const x = new Float64Array(size);
  for (let n = 0; n < samples; n++) {
    const common = random();
    for (let c = 0; c < size; c++) x[c] = (random() + common) * 10 ** (c % 3) * 0.1;
    for (let a = 0; a < size; a++) for (let c = 0; c < size; c++) sum[a * size + c] += x[a] * x[c];
  }
  return Float32Array.from(sum, (value) => value / samples);
}

export function randomScale(size: number, seed = 3): Float32Array {
  const random = randomNormal(seed);
  return Float32Array.from({ length: size }, () => Math.exp(random()));
}
