import { expect } from 'chai';
import { halfToNumber, numberToHalf } from '../../src/inputs/half.js';

describe('binary16', () => {
  it('survives the way to a number and back, for all 65536 bit patterns but NaN', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = halfToNumber(bits);
      if (Number.isNaN(value)) expect(numberToHalf(value)).to.equal(0x7e00);
      else if (numberToHalf(value) !== bits) expect.fail(`${bits.toString(16)} came back different`);
    }
  });

  const cases: [number, number][] = [
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-Infinity, 0xfc00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [2 ** -25 * 1.01, 1],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2047.9999, 0x6800],
  ];
  for (const [value, bits] of cases) {
    it(`rounds ${value} to 0x${bits.toString(16)}`, () => {
      expect(numberToHalf(value)).to.equal(bits);
    });
  }
});
