/** Tensors as stored (fp32, fp16, bf16, int8) and the float64 values that they stand for. */

export type ElementType = 'float32' | 'float16' | 'bfloat16' | 'int8';

const BYTES: Record<ElementType, number> = { float32: 4, float16: 2, bfloat16: 2, int8: 1 };

export interface Values {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Little-endian bytes as ONNX's raw_data holds them. */
  readonly bytes: Uint8Array;
  /** What the stored elements stand for. */
  readonly data: Float64Array;
}

const scratch = new DataView(new ArrayBuffer(4));

/** Rounds `value` to 10 (fp16) or 7 (bf16) bits of mantissa, ties to even; in the range of normal numbers only. */
function round16(value: number, mantissaBits: number): number {
  scratch.setFloat32(0, value);
  const step = 2 ** (23 - mantissaBits);
  const bits = scratch.getUint32(0);
  const rest = bits % step;
  const floor = bits - rest;
  const up = rest > step / 2 || (rest === step / 2 && (floor / step) % 2 === 1);
  scratch.setUint32(0, up ? floor + step : floor);
  return scratch.getFloat32(0);
}

/** fp16 bits of a number that fp16 represents exactly. */
function halfBits(value: number): number {
  if (value === 0) return 0;
  const sign = value < 0 ? 0x8000 : 0;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(value))));
  const mantissa = Math.abs(value) / 2 ** (exponent - 10);
  return sign | (mantissa < 1024 ? mantissa : ((exponent + 15) << 10) | (mantissa - 1024));
}

export function decodeHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

function store(view: DataView, index: number, type: ElementType, value: number): number {
  if (type === 'float32') {
    view.setFloat32(index * 4, value, true);
    return Math.fround(value);
  }
  if (type === 'int8') {
    view.setInt8(index, value);
    return value;
  }
  if (type === 'bfloat16') {
    const rounded = round16(value, 7);
    scratch.setFloat32(0, rounded);
    view.setUint16(index * 2, scratch.getUint16(0), true);
    return rounded;
  }
  // Denormal fp16 values are multiples of 2⁻²⁴.
  const rounded = Math.abs(value) < 2 ** -14 ? Math.round(value * 2 ** 24) * 2 ** -24 : round16(value, 10);
  view.setUint16(index * 2, halfBits(rounded), true);
  return rounded;
}

export function values(type: ElementType, dims: readonly number[], of: (index: number) => number): Values {
  const count = dims.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array(count * BYTES[type]);
  const view = new DataView(bytes.buffer);
  const data = Float64Array.from({ length: count }, (_, i) => store(view, i, type, of(i)));
  return { type, dims, bytes, data };
}

/** A seeded generator of normally distributed numbers (mulberry32 and Box–Muller). */
export function normals(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
