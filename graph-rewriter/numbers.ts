// Numbers of every type that weights are stored in, floats and integers, to float32.
import { decodeFloats, FLOAT_BYTES, isFloatType } from './floats.js';
import type { FloatType } from './types.js';

const INTEGER_BITS = { int4: 4, uint4: 4, int8: 8, uint8: 8, int16: 16, uint16: 16, int32: 32 } as const;
export type IntegerType = keyof typeof INTEGER_BITS;
export type NumberType = FloatType | IntegerType;

export function isIntegerType(dtype: string): dtype is IntegerType {
  return dtype in INTEGER_BITS;
}

export function isNumberType(dtype: string): dtype is NumberType {
  return isFloatType(dtype) || isIntegerType(dtype);
}

/** Bytes of `count` numbers as raw data: two numbers of 4 bits to a byte. */
export function numberBytes(count: number, dtype: NumberType): number {
  return isFloatType(dtype) ? count * FLOAT_BYTES[dtype] : Math.ceil((count * INTEGER_BITS[dtype]) / 8);
}

/** Fills `out` from raw data, little-endian. Integers beyond 2²⁴ are rounded. */
export function decodeNumbers(bytes: Uint8Array, dtype: NumberType, out: Float32Array): void {
  if (isFloatType(dtype)) {
    decodeFloats(bytes, dtype, out, 0);
    return;
  }
  const read = reader(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), dtype);
  for (let i = 0; i < out.length; i++) out[i] = read(i);
}

function reader(view: DataView, dtype: IntegerType): (i: number) => number {
  // The first of two numbers is in the low half.
  const nibble = (i: number) => (view.getUint8(i >> 1) >> (4 * (i & 1))) & 15;
  switch (dtype) {
    case 'uint4':
      return nibble;
    case 'int4':
      return (i) => (nibble(i) << 28) >> 28;
    case 'int8':
      return (i) => view.getInt8(i);
    case 'uint8':
      return (i) => view.getUint8(i);
    case 'int16':
      return (i) => view.getInt16(2 * i, true);
    case 'uint16':
      return (i) => view.getUint16(2 * i, true);
    case 'int32':
      return (i) => view.getInt32(4 * i, true);
  }
}
