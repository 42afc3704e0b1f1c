/** Random tensors as stored bytes and the float64 values that they stand for. */
import { decodeHalf } from '../ops/helpers/values.js';
import type { Random } from '../fuzz/random.js';

/** The operators' own types, then some that are always wrong: [TensorProto.DataType, bytes]. */
export const TYPES = {
  float32: [1, 4],
  float16: [10, 2],
  bfloat16: [16, 2],
  int8: [3, 1],
  uint8: [2, 1],
  int32: [6, 4],
  int64: [7, 8],
  float64: [11, 8],
  bool: [9, 1],
} as const;
export type TypeName = keyof typeof TYPES;

export interface Tensor {
  readonly type: TypeName;
  readonly dims: readonly number[];
  /** Little-endian, as many elements as `dims` say where all are positive. */
  readonly bytes: Uint8Array;
  readonly data: Float64Array;
}

/** An element whose magnitude is about `scale`, exact in the type; the sign and the mantissa at random. */
function put(view: DataView, type: TypeName, at: number, random: Random, scale: number): number {
  const sign = random.pick(2);
  const exponent = Math.round(Math.log2(scale)) - random.pick(3);
  if (type === 'int8') view.setInt8(at, random.pick(255) - 127);
  else if (type === 'float16')
    view.setUint16(at * 2, (sign << 15) | ((exponent + 15) << 10) | random.pick(1024), true);
  else if (type === 'bfloat16')
    view.setUint16(at * 2, (sign << 15) | ((exponent + 127) << 7) | random.pick(128), true);
  else if (type === 'float32')
    view.setFloat32(at * 4, (1 - 2 * sign) * 2 ** exponent * (1 + random.pick(1 << 20) / (1 << 20)), true);
  return get(view, type, at);
}

/** Types that are no operator's stay zeros. */
function get(view: DataView, type: TypeName, at: number): number {
  if (type === 'int8') return view.getInt8(at);
  if (type === 'float32') return view.getFloat32(at * 4, true);
  if (type === 'float16') return decodeHalf(view.getUint16(at * 2, true));
  if (type !== 'bfloat16') return 0;
  const wide = new DataView(new ArrayBuffer(4));
  wide.setUint16(0, view.getUint16(at * 2, true));
  return wide.getFloat32(0);
}

export function randomTensor(type: TypeName, dims: readonly number[], random: Random, scale = 1): Tensor {
  const count = dims.reduce((product, size) => product * Math.max(size, 0), 1);
  const bytes = new Uint8Array(count * TYPES[type][1]);
  const view = new DataView(bytes.buffer);
  const data = Float64Array.from({ length: count }, (_, at) => put(view, type, at, random, scale));
  return { type, dims, bytes, data };
}

/** NaN, ±∞, large, denormal and −0 as bits. */
const SPECIAL = {
  float16: [0x7e00, 0x7c00, 0xfc00, 0x7bff, 0x0001, 0x8000],
  bfloat16: [0x7fc0, 0x7f80, 0xff80, 0x7149, 0x0001, 0x8000],
  float32: [0x7fc00000, 0x7f800000, 0xff800000, 0x7149f2ca, 0x000116c2, 0x80000000],
} as const;

/** Puts a special value into one element; −128, which symmetric quantization does not make, into int8. */
export function poison(tensor: Tensor, random: Random): void {
  const { type, data, bytes } = tensor;
  if (data.length === 0) return;
  const at = random.pick(data.length);
  const view = new DataView(bytes.buffer);
  if (type === 'int8') view.setInt8(at, -128);
  else if (type === 'float32') view.setUint32(at * 4, random.oneOf(SPECIAL.float32), true);
  else if (type === 'float16' || type === 'bfloat16')
    view.setUint16(at * 2, random.oneOf(SPECIAL[type]), true);
  data[at] = get(view, type, at);
}
