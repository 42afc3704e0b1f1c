import { expect } from 'chai';
import { seededRandom } from '../../src/inputs/random.js';
import { QUANTIZATIONS, quantizeDequantize, quantizedBytes } from '../../src/report/quantize.js';

const [INT8, INT4] = QUANTIZATIONS;

function randomWeight(out: number, inputs: number, seed: number) {
  const random = seededRandom(seed);
  return { out, in: inputs, data: Float32Array.from({ length: out * inputs }, () => 2 * random() - 0.7) };
}

describe('quantizeDequantize', () => {
  for (const [out, inputs] of [
    [1, 1],
    [3, 63],
    [2, 64],
    [5, 65],
    [7, 131],
  ]) {
    it(`is within half a step of every number of a ${out} × ${inputs} weight`, () => {
      const weight = randomWeight(out, inputs, 31 * out + inputs);
      for (const way of QUANTIZATIONS) {
        const found = quantizeDequantize(weight, way);
        const size = way.group ?? inputs;
        for (let row = 0; row < out; row++)
          for (let start = 0; start < inputs; start += size) {
            const at = row * inputs + start;
            const group = weight.data.subarray(at, row * inputs + Math.min(start + size, inputs));
            const [least, largest] = [Math.min(0, ...group), Math.max(0, ...group)];
            const step = way.bits === 8 ? Math.max(-least, largest) / 127 : (largest - least) / 15;
            // A zero point that was rounded may cost the outermost code half a step more.
            const limit = (way.bits === 8 ? 0.5 : 1) * step * (1 + 1e-5);
            group.forEach((value, i) => expect(Math.abs(found[at + i] - value)).to.be.at.most(limit));
          }
      }
    });
  }

  it('keeps zeros, and uses few values', () => {
    const weight = { out: 1, in: 128, data: Float32Array.from({ length: 128 }, (_, i) => (i % 2 ? i : 0)) };
    const found = quantizeDequantize(weight, INT4);
    expect(found.filter((_, i) => i % 2 === 0).every((value) => value === 0)).to.equal(true);
    expect(new Set(found.subarray(0, 64)).size).to.be.at.most(16);
    const zeros = { out: 2, in: 3, data: new Float32Array(6) };
    for (const way of QUANTIZATIONS)
      expect([...quantizeDequantize(zeros, way)]).to.deep.equal(Array(6).fill(0));
  });
});

describe('quantizedBytes', () => {
  it('counts codes, scales and zero points', () => {
    expect(quantizedBytes({ out: 10, in: 100 }, INT8)).to.equal(1000 + 40);
    // Two groups a row: 20 scales of 4 bytes, 20 zero points of 4 bits.
    expect(quantizedBytes({ out: 10, in: 100 }, INT4)).to.equal(500 + 80 + 10);
  });
});
