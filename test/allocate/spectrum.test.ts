import { expect } from 'chai';
import { lowRankTails, monarchTails } from '../../graph-rewriter/allocate/index.js';
import { tailAt } from '../../graph-rewriter/allocate/spectrum.js';
import { createEngine, factorize } from '../../graph-rewriter/factorize/index.js';
import { Metric } from '../../graph-rewriter/factorize/metric.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import type { DenseWeight, StructureSpec } from '../../graph-rewriter/factorize/types.js';

const engine = createEngine();
const random = randomNormal(23);
const normals = (count: number) => Float32Array.from({ length: count }, random);

/** C = Σ x xᵀ of a few more random rows than features. */
function covariance(size: number): Float32Array {
  const rows = Array.from({ length: 2 * size }, () => normals(size));
  return Float32Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    return rows.reduce((sum, row) => sum + row[i] * row[j], 0) / rows.length;
  });
}

/** tr(A C Aᵀ), A = diag(d) W, by plain loops. */
function energyOf(weight: DenseWeight, c: Float32Array, d: Float32Array): number {
  let sum = 0;
  for (let o = 0; o < weight.out; o++)
    for (let i = 0; i < weight.in; i++)
      for (let j = 0; j < weight.in; j++)
        sum +=
          d[o] ** 2 * weight.data[o * weight.in + i] * c[i * weight.in + j] * weight.data[o * weight.in + j];
  return sum;
}

describe('lowRankTails', () => {
  for (const [out, inputs] of [
    [7, 12],
    [12, 7],
    [16, 16],
  ])
    it(`is what factorize leaves out at each rank of a ${out}×${inputs} weight`, async () => {
      const weight = { out, in: inputs, data: normals(out * inputs) };
      const c = covariance(inputs);
      const d = normals(out).map((value) => 0.1 + Math.abs(value));
      const tails = await lowRankTails(engine, weight, await Metric.of(engine, inputs, c), d, out);
      const whole = energyOf(weight, c, d);
      expect(tails[0] / whole).to.be.closeTo(1, 1e-6);
      expect(tails[Math.min(out, inputs)]).to.be.closeTo(0, 1e-9 * whole);
      for (const rank of [1, 2, 4]) {
        const spec: StructureSpec = { structure: 'low-rank', rank, blocksIn: 1, blocksOut: 1 };
        const { weightedError } = await factorize({ weight, spec, covariance: c, outputScale: d, engine });
        expect(Math.sqrt(tails[rank] / whole)).to.be.closeTo(weightedError, 1e-5);
      }
    });

  it('counts what it does not compute as left out', async () => {
    const size = 1100;
    const weight = { out: size, in: size, data: new Float32Array(size * size) };
    for (let i = 0; i < size; i++) weight.data[i * (size + 1)] = i < 10 ? 10 - i : 0.01;
    const tails = await lowRankTails(engine, weight, Metric.identity(size), undefined, 20);
    expect(tails[0] / (385 + (size - 10) * 1e-4)).to.be.closeTo(1, 1e-6);
    expect(tails[9]).to.be.closeTo(1 + (size - 10) * 1e-4, 0.01);
  }).timeout(60000);
});

describe('monarchTails', () => {
  it('is what factorize leaves out where blocks do not interact', async () => {
    const weight = { out: 12, in: 8, data: normals(96) };
    const tails = await monarchTails(engine, weight, Metric.identity(8), undefined, {
      blocksIn: 2,
      blocksOut: 3,
    });
    const spec: StructureSpec = { structure: 'monarch', rank: 1, blocksIn: 2, blocksOut: 3 };
    const { weightedError } = await factorize({ weight, spec, engine });
    expect(Math.sqrt(tails[1] / tails[0])).to.be.closeTo(weightedError, 1e-5);
  });
});

describe('tailAt', () => {
  it('goes in straight lines between ranks, and is that of the full rank beyond it', () => {
    const tails = Float64Array.of(8, 4, 0);
    expect([0, 0.5, 1, 1.25, 2, 7].map((rank) => tailAt(tails, rank))).to.eql([8, 6, 4, 3, 0, 0]);
  });
});
