import { expect } from 'chai';
import { decodeFloats, encodeFloats } from '../../graph-rewriter/floats.js';
import { random } from './helpers/reference.js';

function decode(bytes: Uint8Array, dtype: 'float16' | 'bfloat16' | 'float64'): number[] {
  const out = new Float32Array(bytes.length / (dtype === 'float64' ? 8 : 2));
  decodeFloats(bytes, dtype, out, 0);
  return [...out];
}

function bits(...values: number[]): Uint8Array {
  return new Uint8Array(Uint16Array.from(values).buffer);
}

describe('decodeFloats', () => {
  it('reads float16', () => {
    const given = bits(
      0x0000,
      0x8000,
      0x3c00,
      0xc000,
      0x7bff,
      0x0400,
      0x03ff,
      0x0001,
      0x7c00,
      0xfc00,
      0x3555,
    );
    expect(decode(given, 'float16')).to.deep.equal([
      0,
      -0,
      1,
      -2,
      65504,
      2 ** -14,
      1023 * 2 ** -24,
      2 ** -24,
      Infinity,
      -Infinity,
      0.333251953125,
    ]);
    expect(decode(bits(0x7e00), 'float16')[0]).to.be.NaN;
  });

  it('reads bfloat16', () => {
    expect(decode(bits(0x0000, 0x3f80, 0xc000, 0x7f7f, 0x7f80, 0x0001), 'bfloat16')).to.deep.equal([
      0,
      1,
      -2,
      255 * 2 ** 120,
      Infinity,
      2 ** -133,
    ]);
  });

  it('reads float64', () => {
    const bytes = new Uint8Array(Float64Array.of(0.1, -3).buffer);
    expect(decode(bytes, 'float64')).to.deep.equal([Math.fround(0.1), -3]);
  });

  it('reads at offsets that no typed array would take', () => {
    const bytes = new Uint8Array(9);
    bytes.set(new Uint8Array(Float32Array.of(1.5, -2.5).buffer), 1);
    const out = new Float32Array(3);
    decodeFloats(bytes.subarray(1), 'float32', out, 1);
    expect([...out]).to.deep.equal([0, 1.5, -2.5]);
  });
});

describe('encodeFloats', () => {
  for (const type of ['float16', 'bfloat16'] as const) {
    it(`keeps every ${type} as it is`, () => {
      const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
      const values = new Float32Array(65536);
      decodeFloats(new Uint8Array(all.buffer), type, values, 0);
      const encoded = encodeFloats(values, type);
      const back = new Uint16Array(encoded.buffer);
      const wrong = back.findIndex((value, i) => value !== i && !Number.isNaN(values[i]));
      expect(wrong).to.equal(-1);
    });

    it(`rounds to the nearest ${type}, ties to even`, () => {
      const all = new Float32Array(65536);
      decodeFloats(new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer), type, all, 0);
      const finite = [...all].filter(Number.isFinite).sort((a, b) => a - b);
      const values = random(2000, 3).map((v, i) => v * 2 ** ((i % 40) - 30));
      const rounded = new Float32Array(2000);
      decodeFloats(encodeFloats(values, type), type, rounded, 0);
      values.forEach((value, i) => {
        const error = Math.abs(rounded[i] - value);
        const next = finite.findIndex((candidate) => candidate >= value);
        const best = Math.min(
          Math.abs(finite[next] - value),
          Math.abs(finite[Math.max(next - 1, 0)] - value),
        );
        expect(error, `${value}`).to.equal(best);
      });
    });
  }

  it('rounds ties of float16 to even, carries, and overflows to infinity', () => {
    const given = Float32Array.of(
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      2 - 2 ** -12,
      65519,
      65520,
      -65520,
      2 ** -25,
      2 ** -14 - 2 ** -25,
    );
    expect([...new Uint16Array(encodeFloats(given, 'float16').buffer)]).to.deep.equal([
      0x3c00, 0x3c02, 0x4000, 0x7bff, 0x7c00, 0xfc00, 0x0000, 0x0400,
    ]);
  });
});
