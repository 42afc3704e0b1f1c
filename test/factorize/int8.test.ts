import { expect } from 'chai';
import { dequantize, factorize, quantize } from '../../graph-rewriter/factorize/index.js';
import { STRUCTURES, type Factors, type Structure } from '../../graph-rewriter/factorize/types.js';
import { roundToFloat16 } from '../../graph-rewriter/floats.js';
import { denseWeight, random, randomFactors } from '../graph-rewriter/helpers/reference.js';

const SIZES = [
  { in: 1, out: 1, rank: 1, blocksIn: 1, blocksOut: 1 },
  { in: 13, out: 19, rank: 5, blocksIn: 3, blocksOut: 4 },
  { in: 64, out: 96, rank: 17, blocksIn: 4, blocksOut: 2 },
];

const specOf = (structure: Structure, sizes: (typeof SIZES)[number]) => ({
  structure,
  ...sizes,
  ...(structure === 'low-rank' && { blocksIn: 1, blocksOut: 1 }),
});

/** ‖A − B‖ / ‖A‖ of the dense weights. */
function distance(a: Factors, b: Factors): number {
  const [x, y] = [denseWeight(a), denseWeight(b)];
  const norm = (values: Float64Array) => Math.hypot(...values);
  return norm(x.map((value, i) => value - y[i])) / norm(x);
}

describe('quantize', () => {
  for (const structure of STRUCTURES)
    for (const sizes of SIZES)
      it(`keeps the weight of ${structure} ${sizes.in}×${sizes.out} within the error of 8 bits`, () => {
        const factors = randomFactors(specOf(structure, sizes), 3);
        const integers = quantize(factors);
        expect([...integers.V, ...integers.U].every((q) => Math.abs(q) <= 127)).to.equal(true);
        expect(distance(factors, dequantize(integers))).to.be.below(0.012);
      });

  it('gives scales and S that float16 holds exactly', () => {
    const { vScale, S, uScale } = quantize(randomFactors(specOf('blast', SIZES[1]), 4));
    for (const values of [vScale, S!, uScale]) expect(values.map(roundToFloat16)).to.deep.equal(values);
  });

  it('is indifferent to what multiplies a rank in U and divides it in the other factors', () => {
    for (const structure of STRUCTURES) {
      const factors = randomFactors(specOf(structure, SIZES[2]), 5);
      const sizes = random(factors.rank, 6).map((value) => 10 ** (2 * value));
      const U = factors.U.map((value, at) => value * sizes[at % factors.rank]);
      const V = factors.V.map((value, at) => value / sizes[Math.floor(at / factors.in) % factors.rank]);
      expect(distance(factors, { ...factors, U, V })).to.be.below(1e-5);
      expect(distance(factors, dequantize(quantize({ ...factors, U, V })))).to.be.below(0.012);
    }
  });

  it('holds weights far from 1, and zeros', () => {
    for (const structure of STRUCTURES)
      for (const size of [1e-7, 1e-3, 1e5]) {
        const factors = randomFactors(specOf(structure, SIZES[1]), 7);
        const scaled = { ...factors, U: factors.U.map((value) => value * size) };
        expect(distance(scaled, dequantize(quantize(scaled))), `${structure} ${size}`).to.be.below(0.015);
      }
    const zero = randomFactors(specOf('blast', SIZES[1]), 8);
    zero.U.fill(0, 0, 5);
    zero.V.fill(0, 0, 13);
    const back = dequantize(quantize(zero));
    expect([...back.U.subarray(0, 5), ...back.V.subarray(0, 13)].every((value) => value === 0)).to.equal(
      true,
    );
  });

  it('loses less than with columns of U of equal norm, and than with V so', () => {
    const factors = randomFactors({ ...specOf('low-rank', SIZES[2]), in: 300, out: 300 }, 9);
    // What a rank adds falls as in the spectrum of a real weight.
    const scaledBy = (power: number) => ({
      ...factors,
      V: factors.V.map((value, at) => value * (1 + Math.floor(at / 300)) ** (-2 * (1 - power))),
      U: factors.U.map((value, at) => value * (1 + (at % factors.rank)) ** (-2 * power)),
    });
    const error = (power: number) => distance(scaledBy(power), roundAsItIs(scaledBy(power)));
    const balanced = distance(scaledBy(0.5), dequantize(quantize(scaledBy(1))));
    expect(balanced).to.be.below(error(0)).and.below(error(1));
  });
});

/** Largest number / 127 for each row of V and of U, without balance. */
function roundAsItIs(f: Factors): Factors {
  const round = (values: Float32Array, row: number) =>
    values.map((value, at) => {
      const start = at - (at % row);
      const scale = Math.max(...values.subarray(start, start + row).map(Math.abs)) / 127;
      return scale * Math.round(value / scale);
    });
  return { ...f, V: round(f.V, f.in), U: round(f.U, f.rank) };
}

describe('factorize to int8', () => {
  const weight = { in: 48, out: 40, data: random(48 * 40, 11) };

  for (const structure of STRUCTURES)
    it(`gives the integers of ${structure}, what they stand for, and both errors`, async () => {
      const blocks = structure === 'low-rank' ? 1 : 2;
      const rank = structure === 'monarch' ? 4 : 12;
      const request = { weight, spec: { structure, rank, blocksIn: blocks, blocksOut: blocks } };
      const float = await factorize(request);
      const { factors, relativeError, quantization } = await factorize({ ...request, factorType: 'int8' });
      expect(float).to.not.have.property('quantization');
      expect(factors).to.deep.equal(dequantize(quantization!.factors));
      const dense = (f: Factors) => denseWeight(f);
      const norm = (values: Float64Array) => Math.hypot(...values);
      const size = Math.hypot(...weight.data);
      const [before, after] = [dense(float.factors), dense(factors)];
      expect(quantization!.relativeError).to.be.closeTo(
        norm(before.map((value, i) => value - after[i])) / size,
        1e-6,
      );
      expect(relativeError).to.be.closeTo(norm(after.map((value, i) => weight.data[i] - value)) / size, 1e-6);
      expect(quantization!.relativeError).to.be.within(1e-4, 0.03);
      expect(relativeError).to.be.closeTo(float.relativeError, 0.001);
    });
});
