// Floating-point numbers as models store them (little-endian) to and from float32.
import { endianness } from 'node:os';
import type { FloatFactorType, FloatType } from './types.js';

export const FLOAT_BYTES: Record<FloatType, number> = { float32: 4, float16: 2, bfloat16: 2, float64: 8 };

export function isFloatType(dtype: string): dtype is FloatType {
  return dtype in FLOAT_BYTES;
}

/** Float32 arrays can be viewed as file bytes only on a machine of the file's byte order. */
const LITTLE_ENDIAN = endianness() === 'LE';

/** Decodes whole numbers from `bytes` into `out` from `offset` on. float64 is rounded to float32. */
export function decodeFloats(bytes: Uint8Array, dtype: FloatType, out: Float32Array, offset: number): void {
  const count = bytes.length / FLOAT_BYTES[dtype];
  if (dtype === 'float32' && LITTLE_ENDIAN) {
    new Uint8Array(out.buffer, out.byteOffset + 4 * offset, bytes.length).set(bytes);
    return;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  switch (dtype) {
    case 'float32':
      for (let i = 0; i < count; i++) out[offset + i] = view.getFloat32(4 * i, true);
      return;
    case 'float64':
      for (let i = 0; i < count; i++) out[offset + i] = view.getFloat64(8 * i, true);
      return;
    case 'float16':
    case 'bfloat16': {
      const values = halfTable(dtype);
      for (let i = 0; i < count; i++) out[offset + i] = values[view.getUint16(2 * i, true)];
    }
  }
}

/** Encodes to nearest, ties to even. A value beyond float16's range becomes infinite. */
export function encodeFloats(values: Float32Array, dtype: FloatFactorType): Uint8Array {
  if (dtype === 'float32' && LITTLE_ENDIAN)
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = new Uint8Array(values.length * FLOAT_BYTES[dtype]);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    if (dtype === 'float32') view.setFloat32(4 * i, values[i], true);
    else view.setUint16(2 * i, dtype === 'float16' ? float16Bits(values[i]) : bfloat16Bits(values[i]), true);
  }
  return bytes;
}

const tables = new Map<FloatType, Float32Array>();

/** All 65,536 values of a 16-bit type: a lookup is several times faster than taking the bits apart. */
function halfTable(dtype: 'float16' | 'bfloat16'): Float32Array {
  let table = tables.get(dtype);
  if (table === undefined) {
    const value = dtype === 'float16' ? float16Value : bfloat16Value;
    table = Float32Array.from({ length: 65536 }, (_, bits) => value(bits));
    tables.set(dtype, table);
  }
  return table;
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new DataView(new ArrayBuffer(4));

function bfloat16Value(bits: number): number {
  word.setUint32(0, bits * 65536);
  return word.getFloat32(0);
}

/** `value` is exact in float32, so there is one rounding only. */
export function float16Bits(value: number): number {
  word.setFloat32(0, value);
  const sign = (word.getUint8(0) & 0x80) << 8;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24);
  const exponent = ((word.getUint32(0) >>> 23) & 0xff) - 127;
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundToEven((magnitude / 2 ** exponent - 1) * 1024));
}

/** The nearest number of float16. */
export function roundToFloat16(value: number): number {
  return halfTable('float16')[float16Bits(value)];
}

export function bfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) / 65536) >>> 0;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
