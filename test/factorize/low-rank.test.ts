import { expect } from 'chai';
import { CholeskyDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';
import { defaultEngine } from '../../graph-rewriter/factorize/engine.js';
import { factorize } from '../../graph-rewriter/factorize/index.js';
import { nearestLowRank } from '../../graph-rewriter/factorize/low-rank.js';
import { Metric } from '../../graph-rewriter/factorize/metric.js';
import { submatrix } from '../../graph-rewriter/factorize/rows.js';
import type { DenseWeight } from '../../graph-rewriter/factorize/types.js';
import { randomCovariance, randomScale, randomWeight } from './reference.js';

/** Relative error of the best rank-r matrix in the metric, from ml-matrix's singular values of diag(d)·W·L. */
function optimum(weight: DenseWeight, rank: number, covariance?: Float32Array, scale?: Float32Array): number {
  let a = Matrix.from1DArray(weight.out, weight.in, Array.from(weight.data));
  if (scale) a = Matrix.diag(Array.from(scale)).mmul(a);
  if (covariance) {
    const c = Matrix.from1DArray(weight.in, weight.in, Array.from(covariance));
    a = a.mmul(new CholeskyDecomposition(c).lowerTriangularMatrix);
  }
  const values = new SingularValueDecomposition(a, { autoTranspose: true }).diagonal;
  const square = (from: number) => values.slice(from).reduce((sum, value) => sum + value ** 2, 0);
  return Math.sqrt(square(rank) / square(0));
}

describe('factorize: low rank', () => {
  for (const [out, width] of [
    [48, 31],
    [31, 48],
    [40, 40],
    [2, 37],
    [37, 2],
  ]) {
    for (const decay of [0, 0.5, 2]) {
      it(`is within 1e-3 of the optimum at any rank: ${out}×${width}, spectrum k^-${decay}`, async () => {
        const weight = randomWeight(out, width, { decay });
        const covariance = randomCovariance(width);
        const scale = randomScale(out);
        const most = Math.ceil((out * width) / (out + width)) - 1;
        for (const rank of new Set([1, Math.ceil(most / 2), most])) {
          const spec = { structure: 'low-rank', rank, blocksIn: 1, blocksOut: 1 } as const;
          const plain = await factorize({ weight, spec });
          expect(plain.relativeError).to.be.closeTo(optimum(weight, rank), 1e-3 * optimum(weight, rank));
          const whitened = await factorize({ weight, spec, covariance, outputScale: scale });
          const best = optimum(weight, rank, covariance, scale);
          expect(whitened.weightedError).to.be.closeTo(best, 1e-3 * best);
        }
      });
    }
  }

  it('keeps its accuracy at full rank', async () => {
    for (const [out, width] of [
      [20, 33],
      [33, 20],
    ]) {
      const { data } = randomWeight(out, width, { decay: 3 });
      const source = submatrix(data, width, [0, out], [0, width]);
      const { left, right } = await nearestLowRank(defaultEngine(), source, Metric.identity(width), 20);
      for (let o = 0; o < out; o++)
        for (let c = 0; c < width; c++) {
          let sum = 0;
          for (let k = 0; k < 20; k++) sum += left[o * 20 + k] * right[k * width + c];
          expect(sum).to.be.closeTo(data[o * width + c], 1e-7);
        }
    }
  });

  it('splits scales evenly: column k of U and row k of V have one norm', async () => {
    const weight = randomWeight(24, 36);
    const { factors } = await factorize({
      weight,
      spec: { structure: 'low-rank', rank: 4, blocksIn: 1, blocksOut: 1 },
    });
    for (let k = 0; k < 4; k++) {
      const u = Math.hypot(...Array.from({ length: 24 }, (_, o) => factors.U[o * 4 + k]));
      const v = Math.hypot(...factors.V.subarray(k * 36, (k + 1) * 36));
      expect(u / v).to.be.closeTo(1, 1e-6);
    }
  });
});
