import { expect } from 'chai';
import { defaultEngine, stack } from '../../../graph-rewriter/factorize/engine.js';
import { leadingEigenpairs } from '../../../graph-rewriter/factorize/linalg/eigen.js';
import { subspaceIteration } from '../../../graph-rewriter/factorize/linalg/subspace.js';
import { randomWeight } from '../reference.js';

describe('subspaceIteration', () => {
  const n = 220;
  for (const [title, decay, cols] of [
    ['a Gaussian matrix', 0, 300],
    ['a square Gaussian matrix', 0, n],
    ['the spectrum k^-0.5', 0.5, 300],
    ['the spectrum k^-2', 2, 300],
    ['a spectrum over sixteen decades', 3.4, 300],
    ['rank 40', 0, 40],
  ] as const) {
    for (const count of [1, 30, 90]) {
      it(`leaves out at most 1.001² of the least energy, ${count} vectors of ${n}: ${title}`, async () => {
        const { data } = randomWeight(n, cols, { decay });
        const w = stack(Float64Array.from(data), 1, n, cols);
        const gram = await defaultEngine().multiply(w, w, 'right');
        const total = gram.data.reduce((sum, value, at) => (at % (n + 1) === 0 ? sum + value : sum), 0);
        const { values } = leadingEigenpairs(gram.data.slice(), n, 1);
        const least = Math.max(0, total - values.subarray(0, count).reduce((sum, value) => sum + value, 0));
        const { vectors } = await subspaceIteration(defaultEngine(), gram, count);
        const x = stack(vectors, 1, count, n);
        const image = await defaultEngine().multiply(x, gram);
        let captured = 0;
        for (let at = 0; at < vectors.length; at++) captured += vectors[at] * image.data[at];
        expect(total - captured).to.be.at.most(1.001 ** 2 * least + 1e-13 * total);
        const products = await defaultEngine().multiply(x, x, 'right');
        products.data.forEach((value, at) =>
          expect(value).to.be.closeTo(at % (count + 1) === 0 ? 1 : 0, 1e-9),
        );
      });
    }
  }
});
