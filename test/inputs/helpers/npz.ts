// Writes .npz archives for tests.
import { zipSync } from 'fflate';

export interface FloatArray {
  readonly dims: readonly number[];
  readonly data: Float32Array | Float64Array | BigInt64Array;
}

export function npz(arrays: Readonly<Record<string, FloatArray>>): Uint8Array {
  const entries = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, npy(array)] as const);
  return zipSync(Object.fromEntries(entries));
}

function npy({ dims, data }: FloatArray): Uint8Array {
  const descr = data instanceof Float32Array ? '<f4' : data instanceof Float64Array ? '<f8' : '<i8';
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims.map((dim) => `${dim},`).join('')}), }\n`;
  const start = [0x93, ...new TextEncoder().encode('NUMPY'), 1, 0, header.length, 0];
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Uint8Array.of(...start, ...new TextEncoder().encode(header), ...bytes);
}
