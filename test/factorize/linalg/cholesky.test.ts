import { expect } from 'chai';
import { defaultEngine } from '../../../graph-rewriter/factorize/engine.js';
import { blockedCholesky, blockedInvertLower } from '../../../graph-rewriter/factorize/linalg/blocked.js';
import { cholesky, invertLower, solveCholesky } from '../../../graph-rewriter/factorize/linalg/cholesky.js';
import { randomNormal } from '../../../graph-rewriter/factorize/linalg/random.js';

function definite(n: number): Float64Array {
  const random = randomNormal(n);
  const x = Float64Array.from({ length: n * n }, random);
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? 1 : 0;
      for (let k = 0; k < n; k++) sum += (x[i * n + k] * x[j * n + k]) / n;
      a[i * n + j] = a[j * n + i] = sum;
    }
  return a;
}

/** Largest |L·Lᵀ − A|, and of L·M − I for its inverse M. */
function residuals(a: Float64Array, l: Float64Array, inverse: Float64Array, n: number) {
  let factor = 0;
  let identity = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let square = 0;
      let product = 0;
      for (let k = 0; k <= j; k++) square += l[i * n + k] * l[j * n + k];
      for (let k = j; k <= i; k++) product += l[i * n + k] * inverse[k * n + j];
      factor = Math.max(factor, Math.abs(square - a[i * n + j]));
      identity = Math.max(identity, Math.abs(product - (i === j ? 1 : 0)));
    }
  }
  return { factor, identity };
}

describe('cholesky and invertLower', () => {
  for (const n of [1, 2, 3, 4, 5, 31, 64, 97]) {
    it(`meet their definitions at n = ${n}`, () => {
      const a = definite(n);
      const l = a.slice();
      expect(cholesky(l, n)).to.equal(true);
      const { factor, identity } = residuals(a, l, invertLower(l, n), n);
      expect(factor).to.be.below(1e-13);
      expect(identity).to.be.below(1e-13);
      const x = Float64Array.from({ length: n }, (_, i) => i - 1);
      const b = x.map((_, i) => x.reduce((sum, value, c) => sum + a[i * n + c] * value, 0));
      solveCholesky(l, n, b);
      b.forEach((value, i) => expect(value).to.be.closeTo(x[i], 1e-10));
    });
  }

  for (const n of [1, 2, 3, 6]) {
    it(`finds a bad last pivot at n = ${n}`, () => {
      for (const bad of [-1, 0, NaN, Infinity]) {
        const a = definite(n);
        a[n * n - 1] = bad;
        expect(cholesky(a, n)).to.equal(false);
      }
    });
  }
});

describe('blockedCholesky and blockedInvertLower', () => {
  for (const n of [3, 256, 257, 389]) {
    it(`meet their definitions at n = ${n}`, async () => {
      const a = definite(n);
      const l = a.slice();
      expect(await blockedCholesky(defaultEngine(), l, n)).to.equal(true);
      const inverse = await blockedInvertLower(defaultEngine(), l, n);
      const { factor, identity } = residuals(a, l, inverse, n);
      expect(factor).to.be.below(1e-12);
      expect(identity).to.be.below(1e-12);
    });
  }

  it('finds a pivot that is not positive in any panel', async () => {
    for (const at of [0, 128, 299]) {
      const a = definite(300);
      a[at * 301] = -1;
      expect(await blockedCholesky(defaultEngine(), a, 300)).to.equal(false);
    }
  });
});
