import { expect } from 'chai';
import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { factorize } from '../../graph-rewriter/factorize/index.js';
import { randomCovariance, randomWeight } from './reference.js';

describe('factorize: Monarch', () => {
  for (const [out, width, blocksOut, blocksIn, rank] of [
    [32, 48, 4, 4, 3],
    [29, 43, 3, 4, 2],
    [43, 29, 2, 5, 1],
  ]) {
    it(`is the truncated SVD of every block: ${out}×${width} in ${blocksOut}×${blocksIn}, rank ${rank}`, async () => {
      const weight = randomWeight(out, width);
      const w = Matrix.from1DArray(out, width, Array.from(weight.data));
      const q = Math.ceil(out / blocksOut);
      const p = Math.ceil(width / blocksIn);
      let dropped = 0;
      for (let i = 0; i < blocksOut; i++)
        for (let j = 0; j < blocksIn; j++) {
          const rows = [i * q, Math.min((i + 1) * q, out) - 1];
          const columns = [j * p, Math.min((j + 1) * p, width) - 1];
          const block = w.subMatrix(rows[0], rows[1], columns[0], columns[1]);
          const { diagonal } = new SingularValueDecomposition(block, { autoTranspose: true });
          dropped += diagonal.slice(rank).reduce((sum, value) => sum + value ** 2, 0);
        }
      const optimum = Math.sqrt(dropped) / w.norm();
      const spec = { structure: 'monarch', rank, blocksIn, blocksOut } as const;
      const { relativeError } = await factorize({ weight, spec });
      expect(relativeError).to.be.closeTo(optimum, 1e-3 * optimum);
    });
  }

  it('lowers its error with every refinement sweep under a covariance', async () => {
    const weight = randomWeight(30, 42);
    const covariance = randomCovariance(42);
    const spec = { structure: 'monarch', rank: 2, blocksIn: 4, blocksOut: 3 } as const;
    const errors: number[] = [];
    for (const iterations of [0, 1, 2, 3, 6])
      errors.push((await factorize({ weight, covariance, spec, iterations })).weightedError);
    for (let n = 1; n < errors.length; n++) expect(errors[n]).to.be.at.most(errors[n - 1] * (1 + 1e-7));
    expect(errors[1]).to.be.below(0.99 * errors[0]);
  });
});
