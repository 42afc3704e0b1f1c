import { expect } from 'chai';
import { defaultEngine } from '../../graph-rewriter/factorize/engine.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import { targetMap, targetWeight } from '../../graph-rewriter/sequential/target.js';

const ALPHA = 0.5;
const RIDGE = 1e-3;

type Matrix = number[][];
const zeros = (rows: number, columns: number): Matrix =>
  Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const flat = (m: Matrix) => Float64Array.from(m.flat());

/** A X = B by Gauss-Jordan elimination with pivots, X = A⁻¹ B. */
function solve(a: Matrix, b: Matrix): Matrix {
  const n = a.length;
  const rows = a.map((row, i) => [...row, ...b[i]]);
  for (let k = 0; k < n; k++) {
    const pivot = rows
      .slice(k)
      .reduce((best, row, i) => (Math.abs(row[k]) > Math.abs(rows[best][k]) ? i + k : best), k);
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    rows[k] = rows[k].map((value) => value / rows[k][k]);
    rows.forEach((row, i) => {
      if (i !== k) rows[i] = row.map((value, j) => value - row[k] * rows[k][j]);
    });
  }
  return rows.map((row) => row.slice(n));
}

const turned = (m: Matrix): Matrix => m[0].map((_, j) => m.map((row) => row[j]));

describe('targetWeight', () => {
  for (const [out, size] of [
    [1, 1],
    [3, 5],
    [7, 2],
    [17, 31],
    [5, 300],
  ]) {
    it(`equals the normal equations of ridge regression, ${out}×${size}`, async () => {
      const random = randomNormal(out * 1000 + size);
      const samples = (rows: number) =>
        Array.from({ length: 2 * size + 3 }, () => Array.from({ length: rows }, random));
      const [h, changed, gap] = [samples(size), samples(size), samples(out)];
      const moment = (a: Matrix, b: Matrix): Matrix => {
        const sum = product(turned(a), b);
        return sum.map((row) => row.map((value) => value / a.length));
      };
      const w = Array.from({ length: out }, () => Array.from({ length: size }, random));
      const [c, x, d] = [moment(changed, changed), moment(h, changed), moment(gap, changed)];
      const epsilon = (RIDGE * c.reduce((sum, row, i) => sum + row[i], 0)) / size;
      const ridge = (m: Matrix) => m.map((row, i) => row.map((value, j) => value + (i === j ? epsilon : 0)));
      const mixed = ridge(x.map((row, i) => row.map((value, j) => ALPHA * value + (1 - ALPHA) * c[i][j])));
      const right = product(w, mixed).map((row, o) => row.map((value, i) => value + ALPHA * d[o][i]));
      // W_t = right · (C′ + ε I)⁻¹, and C′ is symmetric.
      const expected = turned(solve(ridge(c), turned(right)));

      const engine = defaultEngine();
      const map = await targetMap(
        engine,
        { size, compressed: flat(c), cross: flat(x) },
        { alpha: ALPHA, ridge: RIDGE },
      );
      const found = await targetWeight(engine, Float32Array.from(w.flat()), map!, ALPHA, flat(d));
      const peak = Math.max(...expected.flat().map(Math.abs));
      // float32 result of double sums.
      expected.flat().forEach((value, at) => expect(found[at]).to.be.closeTo(value, 2e-6 * peak));
    });
  }

  it('is the weight itself where nothing was lost', async () => {
    const engine = defaultEngine();
    const random = randomNormal(3);
    const rows = Array.from({ length: 9 }, () => Array.from({ length: 4 }, random));
    const c = flat(product(turned(rows), rows));
    const map = await targetMap(engine, { size: 4, compressed: c, cross: c }, { alpha: ALPHA, ridge: RIDGE });
    const w = Float32Array.from({ length: 12 }, random);
    const found = await targetWeight(engine, w, map!, ALPHA);
    found.forEach((value, at) => expect(value).to.be.closeTo(w[at], 1e-6));
  });

  it('has no map where the input was all zeros', async () => {
    const none = flat(zeros(3, 3));
    const options = { alpha: ALPHA, ridge: RIDGE };
    expect(await targetMap(defaultEngine(), { size: 3, compressed: none, cross: none }, options)).to.equal(
      undefined,
    );
  });
});
