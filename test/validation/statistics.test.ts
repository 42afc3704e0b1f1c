import { expect } from 'chai';
import { seededRandom } from '../../src/inputs/random.js';
import { errorStatistics, select } from '../../src/validation/statistics.js';

describe('select', () => {
  for (const length of [1, 2, 3, 7, 64, 101]) {
    it(`finds every rank among ${length}, with ties`, () => {
      const random = seededRandom(length);
      const values = Float64Array.from({ length }, () => Math.floor(random() * 20));
      const sorted = values.toSorted();
      for (let rank = 0; rank < length; rank++) expect(select(values.slice(), rank)).to.equal(sorted[rank]);
    });
  }

  it('survives sorted, reversed and constant arrays', () => {
    const up = Float64Array.from({ length: 5000 }, (_, i) => i);
    expect(select(up.slice(), 4949)).to.equal(4949);
    expect(select(up.toReversed(), 4949)).to.equal(4949);
    expect(select(new Float64Array(5000).fill(3), 4949)).to.equal(3);
  });
});

describe('errorStatistics', () => {
  it('gives max, mean and p99 of absolute and relative error', () => {
    const reference = new Float64Array(200).fill(2);
    const candidate = reference.map((value, i) => value + (i < 197 ? 0 : i - 196));
    const { absolute, relative } = errorStatistics(reference, candidate);
    // 197 zeros, then 1, 2, 3: the 198th of 200 is the 99th percentile.
    expect(absolute).to.deep.equal({ max: 3, mean: 6 / 200, p99: 1 });
    expect(relative).to.deep.equal({ max: 1.5, mean: 3 / 200, p99: 0.5 });
  });

  it('leaves elements whose reference is 0 out of the relative error', () => {
    expect(errorStatistics([0, 4], [1, 5]).relative).to.deep.equal({ max: 0.25, mean: 0.25, p99: 0.25 });
  });

  it('gives cosine and signal-to-noise in dB', () => {
    const { cosine, signalToNoise } = errorStatistics([10, 0], [10, 1]);
    expect(cosine).to.be.closeTo(10 / Math.sqrt(101), 1e-12);
    expect(signalToNoise).to.be.closeTo(20, 1e-12);
  });

  it('handles zero vectors', () => {
    expect(errorStatistics([0, 0], [0, 0]).cosine).to.equal(1);
    expect(errorStatistics([0, 0], [0, 1]).cosine).to.equal(0);
    expect(errorStatistics([0, 0], [0, 1]).signalToNoise).to.equal(-Infinity);
  });
});
