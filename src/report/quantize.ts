// Round-to-nearest quantization of a dense weight: the rival that a factorization is read beside.
import type { DenseWeight } from '../../graph-rewriter/factorize/types.js';
import type { Quantization } from './types.js';

/** int8 with one scale an output row, as dynamic quantizers write it; int4 with a scale and a zero point for 64 inputs, as MatMulNBits reads it. */
export const QUANTIZATIONS: readonly Quantization[] = [
  { name: 'dense int8', bits: 8, group: null },
  { name: 'dense int4', bits: 4, group: 64 },
];

const SCALE_BYTES = 4;

/** Stored bytes: the codes, a float32 scale a group, and for int4 a 4-bit zero point. */
export function quantizedBytes(
  { out, in: inputs }: { out: number; in: number },
  { bits, group }: Quantization,
): number {
  const groups = out * Math.ceil(inputs / (group ?? inputs));
  const zeroPoints = bits === 4 ? groups / 2 : 0;
  return Math.ceil((out * inputs * bits) / 8 + zeroPoints) + groups * SCALE_BYTES;
}

/** The weight as it reads after quantization, [out, in]. int8 is symmetric, int4 is not. */
export function quantizeDequantize(weight: DenseWeight, { bits, group }: Quantization): Float32Array {
  const size = group ?? weight.in;
  const result = new Float32Array(weight.data.length);
  const round = bits === 8 ? roundSymmetric : roundAsymmetric;
  for (let row = 0; row < weight.out; row++) {
    const end = (row + 1) * weight.in;
    for (let start = row * weight.in; start < end; start += size) {
      const last = Math.min(start + size, end);
      round(weight.data.subarray(start, last), result.subarray(start, last));
    }
  }
  return result;
}

function roundSymmetric(values: Float32Array, into: Float32Array): void {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const scale = largest / 127;
  for (let i = 0; i < values.length; i++) into[i] = scale === 0 ? 0 : Math.round(values[i] / scale) * scale;
}

/** Codes 0 … 15; the range holds 0, so that 0 stays 0. */
function roundAsymmetric(values: Float32Array, into: Float32Array): void {
  let [least, largest] = [0, 0];
  for (const value of values) {
    least = Math.min(least, value);
    largest = Math.max(largest, value);
  }
  const scale = (largest - least) / 15;
  const zero = scale === 0 ? 0 : Math.round(-least / scale);
  for (let i = 0; i < values.length; i++) {
    const code = scale === 0 ? 0 : Math.min(15, Math.max(0, Math.round(values[i] / scale) + zero));
    into[i] = (code - zero) * scale;
  }
}
