import { expect } from 'chai';
import { count, formatBytes, formatMilliseconds, formatNumber, formatPercent } from '../src/format.js';

describe('formats for people', () => {
  const bytes: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [57_600, '57.6 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [10_822_323, '10.8 MB'],
    [2.474e9, '2.47 GB'],
  ];
  for (const [value, text] of bytes) {
    it(`writes ${value} bytes as ${text}`, () => {
      expect(formatBytes(value)).to.equal(text);
    });
  }

  const numbers: [number, string][] = [
    [0, '0'],
    [1, '1.00'],
    [0.58312, '0.583'],
    [0.0123456, '0.0123'],
    [154.2, '154'],
    [-12.34, '-12.3'],
    [1e-7, '1.0e-7'],
    [2.5e8, '2.5e8'],
    [Infinity, 'Infinity'],
    [NaN, 'NaN'],
  ];
  for (const [value, text] of numbers) {
    it(`writes ${value} as ${text}`, () => {
      expect(formatNumber(value)).to.equal(text);
    });
  }

  it('writes shares, times and counts', () => {
    expect(formatPercent(0.8091)).to.equal('80.9 %');
    expect(formatMilliseconds(447.31)).to.equal('447 ms');
    expect([count(0, 'layer'), count(1, 'layer'), count(2, 'layer')]).to.deep.equal([
      '0 layers',
      '1 layer',
      '2 layers',
    ]);
  });
});
