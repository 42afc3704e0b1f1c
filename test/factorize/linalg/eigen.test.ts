import { expect } from 'chai';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { leadingEigenpairs } from '../../../graph-rewriter/factorize/linalg/eigen.js';
import { randomNormal } from '../../../graph-rewriter/factorize/linalg/random.js';

type Build = (row: number, column: number) => number;

function symmetric(n: number, build: Build): Float64Array {
  return Float64Array.from({ length: n * n }, (_, at) => {
    const row = Math.floor(at / n);
    return build(Math.max(row, at % n), Math.min(row, at % n));
  });
}

/** X·Xᵀ of Gaussian X [n, inner], column k scaled by (k + 1)^−decay. */
function gram(n: number, inner: number, decay = 0): Float64Array {
  const random = randomNormal(n);
  const x = Array.from({ length: n }, () =>
    Float64Array.from({ length: inner }, (_, k) => random() * (k + 1) ** -decay),
  );
  return symmetric(n, (i, j) => x[i].reduce((sum, value, k) => sum + value * x[j][k], 0));
}

describe('leadingEigenpairs', () => {
  const cases: [string, number, Float64Array][] = [
    ...[1, 2, 3, 7, 64, 97].map((n): [string, number, Float64Array] => [
      `a Gram matrix of size ${n}`,
      n,
      gram(n, n + 3),
    ]),
    ['a rank-deficient Gram matrix', 50, gram(50, 6)],
    ['a large null space', 150, gram(150, 30)],
    ['a spectrum over sixteen decades', 60, gram(60, 60, 4.5)],
    ['the identity', 40, symmetric(40, (i, j) => (i === j ? 1 : 0))],
    ['zeros', 30, symmetric(30, () => 0)],
    ['ones', 30, symmetric(30, () => 1)],
    ['two unconnected equal blocks', 40, symmetric(40, (i, j) => (i < 20 === j < 20 ? 1 / (1 + i - j) : 0))],
    // W₆₅⁺: pairs of eigenvalues that agree to machine precision, with quite different vectors.
    ['Wilkinson’s matrix', 65, symmetric(65, (i, j) => (i === j ? Math.abs(i - 32) : i === j + 1 ? 1 : 0))],
    ['a diagonal with one element', 33, symmetric(33, (i, j) => (i === 17 && j === 17 ? 5 : 0))],
  ];
  for (const [title, n, a] of cases) {
    for (const count of new Set([1, Math.ceil(n / 3), n])) {
      it(`gives ${count} orthonormal eigenvectors of ${title}`, () => {
        const { values, vectors } = leadingEigenpairs(a.slice(), n, count);
        const expected = new EigenvalueDecomposition(Matrix.from1DArray(n, n, Array.from(a)), {
          assumeSymmetric: true,
        });
        const reference = expected.realEigenvalues.sort((x, y) => y - x);
        const norm = Math.max(...reference.map(Math.abs), 1e-300);
        reference.forEach((value, k) => expect(values[k] / norm).to.be.closeTo(value / norm, 1e-13));
        const at = (m: number, c: number) => vectors[m * n + c];
        for (let m = 0; m < count; m++) {
          for (let k = 0; k <= m; k++) {
            let dot = 0;
            for (let c = 0; c < n; c++) dot += at(m, c) * at(k, c);
            expect(dot).to.be.closeTo(m === k ? 1 : 0, 1e-12);
          }
          for (let row = 0; row < n; row++) {
            let image = 0;
            for (let c = 0; c < n; c++) image += a[row * n + c] * at(m, c);
            expect((image - values[m] * at(m, row)) / norm).to.be.closeTo(0, 1e-12);
          }
        }
      });
    }
  }
});
