import { expect } from 'chai';
import { createEngine, type Engine, stack, type Transpose } from '../../graph-rewriter/factorize/engine.js';
import { plainLoops } from '../../graph-rewriter/factorize/loops.js';
import { factorize } from '../../graph-rewriter/factorize/index.js';
import { seededRandom } from '../../src/inputs/random.js';
import { loadAddon } from '../../src/loader/addon.js';
import { nativeEngine, routedEngine } from '../../src/native-engine.js';

const random = seededRandom(11);
const numbers = (length: number) => Float64Array.from({ length }, () => random() - 0.5);
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

function largestGap(found: Float64Array, expected: (at: number) => number): number {
  let gap = 0;
  for (let at = 0; at < found.length; at++) {
    const distance = Math.abs(found[at] - expected(at));
    if (!(distance <= gap)) gap = distance;
  }
  return gap;
}

/** Symmetric, eigenvalues of at least 0.1. */
function definite(n: number): Float64Array {
  const x = numbers(n * n);
  const at = (i: number, j: number) => range(n).reduce((sum, k) => sum + x[i * n + k] * x[j * n + k], 0);
  return Float64Array.from(
    { length: n * n },
    (_, i) => at(Math.floor(i / n), i % n) + (i % (n + 1) ? 0 : 0.1),
  );
}

const engines: [string, () => Engine][] = [
  ['native', () => nativeEngine(loadAddon().linearAlgebra)],
  ['plain', () => createEngine()],
];

for (const [name, make] of engines)
  describe(`linear algebra, ${name}`, () => {
    let engine: Engine;
    before(() => (engine = make()));

    // Tiles are 8 × 24 or smaller, jobs 64 × 96, strips of depth 256.
    for (const [rows, depth, columns] of [
      [1, 1, 1],
      [7, 5, 3],
      [8, 256, 24],
      [9, 257, 25],
      [65, 300, 97],
      [1, 513, 40],
    ])
      for (const transpose of ['none', 'left', 'right'] as Transpose[])
        for (const [batchA, batchB] of [
          [1, 1],
          [3, 3],
          [1, 2],
          [2, 1],
        ])
          it(`multiplies ${batchA}×${rows}×${depth} and ${batchB}×${depth}×${columns}, transposed: ${transpose}`, async () => {
            const [left, right] = [transpose === 'left', transpose === 'right'];
            const [a, b] = [numbers(batchA * rows * depth), numbers(batchB * depth * columns)];
            const { data, batch } = await engine.multiply(
              left ? stack(a, batchA, depth, rows) : stack(a, batchA, rows, depth),
              right ? stack(b, batchB, columns, depth) : stack(b, batchB, depth, columns),
              transpose,
            );
            const gap = largestGap(data, (at) => {
              const i = Math.floor(at / (rows * columns));
              const [row, column] = [Math.floor(at / columns) % rows, at % columns];
              const [ofA, ofB] = [batchA > 1 ? i * rows * depth : 0, batchB > 1 ? i * depth * columns : 0];
              let sum = 0;
              for (let k = 0; k < depth; k++)
                sum +=
                  a[ofA + (left ? k * rows + row : row * depth + k)] *
                  b[ofB + (right ? column * depth + k : k * columns + column)];
              return sum;
            });
            expect(batch).to.equal(Math.max(batchA, batchB));
            expect(gap).to.be.below(1e-15 * depth + 1e-15);
          });

    for (const n of [1, 2, 47, 48, 49, 97, 130, 211])
      it(`factors, inverts and solves matrices of ${n}`, () => {
        const matrices = [definite(n), definite(n)];
        const l = new Float64Array(2 * n * n);
        matrices.forEach((matrix, i) => l.set(matrix, i * n * n));
        expect(engine.loops.cholesky(l, n, 2)).to.equal(true);
        const inverse = new Float64Array(2 * n * n);
        engine.loops.invertLower(l, n, 2, inverse);
        const b = numbers(2 * n);
        const x = b.slice();
        engine.loops.solveCholesky(l, n, 2, x);
        for (const [m, matrix] of matrices.entries()) {
          const lower = (i: number, k: number) => (k <= i ? l[m * n * n + i * n + k] : 0);
          const product = largestGap(matrix, (at) => {
            const [i, j] = [Math.floor(at / n), at % n];
            return range(n).reduce((sum, k) => sum + lower(i, k) * lower(j, k), 0);
          });
          expect(product, 'L·Lᵀ − A').to.be.below(1e-14 * n);
          const unit = largestGap(
            Float64Array.from(matrix, (_, at) => (at % (n + 1) ? 0 : 1)),
            (at) => {
              const [i, j] = [Math.floor(at / n), at % n];
              return range(n).reduce((sum, k) => sum + lower(i, k) * inverse[m * n * n + k * n + j], 0);
            },
          );
          expect(unit, 'L·L⁻¹ − 1').to.be.below(1e-13 * n);
          const residual = largestGap(b.subarray(m * n, (m + 1) * n), (i) =>
            range(n).reduce((sum, k) => sum + matrix[i * n + k] * x[m * n + k], 0),
          );
          expect(residual, 'A·x − b').to.be.below(1e-11 * n);
        }
      });

    it('says that one of two matrices is not definite', () => {
      const n = 60;
      const [good, bad] = [definite(n), definite(n)];
      bad[n * n - 1] = -1;
      for (const order of [
        [good, bad],
        [bad, good],
      ])
        expect(engine.loops.cholesky(Float64Array.from(order.flatMap((m) => [...m])), n, 2)).to.equal(false);
    });
  });

describe('native loops', () => {
  const { loops } = nativeEngine(loadAddon().linearAlgebra);
  const [r, p, outputs, inputs] = [37, 23, 3, 4];
  const scales = { data: numbers(outputs * inputs * r), outer: inputs * r, inner: r };
  const single = { ...scales, inner: 0 };
  const g = numbers(outputs * r * r);
  const h = numbers(r * r);

  /** Both compute the same: the largest gap between what they leave in the arrays. */
  function gapOf(length: number, run: (loops: typeof plainLoops, result: Float64Array) => void): number {
    const start = numbers(length);
    const [found, expected] = [start.slice(), start.slice()];
    run(loops, found);
    run(plainLoops, expected);
    expect(found).not.to.deep.equal(start);
    return largestGap(found, (at) => expected[at]);
  }

  it('compute sums and forms as the plain ones do', () => {
    const [z, m] = [numbers(inputs * r * p), numbers(outputs * r * p)];
    const gaps = {
      couple: gapOf(outputs * r * p, (l, to) => l.couple(scales, outputs, inputs, r, p, z, to)),
      rowProducts: gapOf(outputs * r, (l, to) => l.rowProducts(m, z.subarray(0, r * p), outputs, r, p, to)),
      columnForm: gapOf(r * r, (l, to) => l.columnForm(single, g, outputs, r, to)),
      scaleForms: gapOf(outputs * r * r, (l, to) => l.scaleForms(g, h, outputs, r, to)),
      addScaleShift: gapOf(outputs * r, (l, to) => l.addScaleShift(-1.7, g, h, single, outputs, r, to)),
      addScaledForm: gapOf(outputs * r * r, (l, to) => l.addScaledForm(0.5, single, h, outputs, r, to)),
    };
    for (const [name, gap] of Object.entries(gaps)) expect(gap, name).to.be.below(1e-13);
  });

  for (const n of [1, 2, 3, 50, 193])
    it(`reduce a matrix of ${n} to the same tridiagonal form, and take vectors back`, () => {
      const a = definite(n);
      const reduced = [loops, plainLoops].map((l) => {
        const matrix = a.slice();
        const [diagonal, off, reflectors] = [n, Math.max(n - 1, 0), n].map(
          (length) => new Float64Array(length),
        );
        l.tridiagonalise(matrix, n, diagonal, off, reflectors);
        const vectors = Float64Array.from({ length: 5 * n }, (_, i) => Math.sin(i));
        l.transformBack(matrix, n, reflectors, vectors, 5);
        return [diagonal, off, vectors];
      });
      reduced[0].forEach((found, i) =>
        expect(largestGap(found, (at) => reduced[1][i][at])).to.be.below(1e-12 * n),
      );
    });

  it('refuse arrays that are too short or of another type', () => {
    const { linearAlgebra } = loadAddon();
    expect(() => loops.cholesky(new Float64Array(8), 3, 1)).to.throw(RangeError, 'at least 9');
    expect(() => loops.cholesky(new Float32Array(9) as unknown as Float64Array, 3, 1)).to.throw(
      'Float64Array',
    );
    expect(() =>
      linearAlgebra.multiply(g, false, 0, g, false, 0, new Float64Array(3), 2, 2, 2, 1, false),
    ).to.throw('at least 4');
  });

  it('give the same bytes on any number of threads, and the plain engine the same factors to rounding', async () => {
    const { linearAlgebra } = loadAddon();
    const weight = { in: 96, out: 64, data: Float32Array.from(numbers(96 * 64)) };
    const spec = { structure: 'blast', rank: 12, blocksIn: 4, blocksOut: 4 } as const;
    const covariance = Float32Array.from(definite(96));
    const fit = (engine: Engine) => factorize({ weight, spec, covariance, engine, iterations: 4 });
    const engine = nativeEngine(linearAlgebra);
    linearAlgebra.threads(1);
    const one = await fit(engine);
    linearAlgebra.threads(5);
    const five = await fit(engine);
    expect(five).to.deep.equal(one);
    const plain = await fit(createEngine());
    expect(Math.abs(plain.weightedError - one.weightedError)).to.be.below(1e-9);
  });

  it('take turns on a large product, which comes out the same', async () => {
    const engine = nativeEngine(loadAddon().linearAlgebra);
    const [rows, depth, columns] = [1100, 1000, 1000];
    const [a, b] = [numbers(rows * depth), numbers(depth * columns)];
    for (const transpose of ['none', 'left'] as const) {
      let turns = 0;
      const timer = setInterval(() => turns++, 0);
      const left = transpose === 'left';
      const of = left ? stack(a, 1, depth, rows) : stack(a, 1, rows, depth);
      const { data } = await engine.multiply(of, stack(b, 1, depth, columns), transpose);
      clearInterval(timer);
      expect(turns, 'turns').to.be.above(0);
      const sample = range(50).map((i) => (i * 22003) % data.length);
      for (const at of sample) {
        const [row, column] = [Math.floor(at / columns), at % columns];
        let sum = 0;
        for (let k = 0; k < depth; k++)
          sum += a[left ? k * rows + row : row * depth + k] * b[k * columns + column];
        expect(Math.abs(data[at] - sum)).to.be.below(1e-12);
      }
    }
  });

  it('hand large products with little to copy to a GPU, and keep the others', async () => {
    const went: string[] = [];
    const named = (name: string): Engine => ({
      loops,
      multiply: (a) => {
        went.push(name);
        return Promise.resolve(a);
      },
    });
    const engine = routedEngine(named('cpu'), named('gpu'));
    const square = (n: number) => stack(new Float64Array(n * n), 1, n, n);
    await engine.multiply(square(64), square(64));
    await engine.multiply(square(4096), square(4096));
    expect(went).to.deep.equal(['cpu', 'gpu']);
  });
});
