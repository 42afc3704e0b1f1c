// Reads the weight of a match as the factorization wants it.
import { constantChunks } from './constants.js';
import type { DenseWeight } from './factorize/types.js';
import type { Match } from './rule.js';
import type { Reason } from './types.js';

/** [out, in] in float32, or the reason why its numbers cannot be factorized. Peak memory: the result and a few megabytes. */
export function readWeight(match: Match): DenseWeight | Reason {
  const { in: inputs, out, storedOutIn, axes } = match;
  const data = match.weight.tensor.allocate();
  let offset = 0;
  for (const chunk of constantChunks(match.weight)) {
    const bad = chunk.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      return {
        code: 'weight-not-finite',
        message: `'${match.weight.name}' holds ${chunk[bad]} at position ${offset + bad}.`,
      };
    if (axes !== undefined) scatter(data, chunk, offset, axes);
    else if (storedOutIn) data.set(chunk, offset);
    else transposeInto(data, chunk, offset, inputs, out);
    offset += chunk.length;
  }
  return { in: inputs, out, data };
}

/** `chunk` is numbers offset … of [in, out], row by row; `data` is [out, in]. */
function transposeInto(
  data: Float32Array,
  chunk: Float32Array,
  offset: number,
  inputs: number,
  out: number,
): void {
  let row = Math.floor(offset / out);
  let column = offset % out;
  for (const value of chunk) {
    data[column * inputs + row] = value;
    if (++column === out) {
      column = 0;
      row++;
    }
  }
}

/** `chunk` is numbers offset … of an array with these axes, row by row; each axis has its own step in `data`. */
function scatter(
  data: Float32Array,
  chunk: Float32Array,
  offset: number,
  axes: readonly { readonly size: number; readonly stride: number }[],
): void {
  const index: number[] = [];
  let rest = offset;
  for (const { size } of [...axes].reverse()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  let at = axes.reduce((sum, { stride }, i) => sum + index[i] * stride, 0);
  for (const value of chunk) {
    data[at] = value;
    for (let i = axes.length - 1; i >= 0; i--) {
      at += axes[i].stride;
      if (++index[i] < axes[i].size) break;
      at -= index[i] * axes[i].stride;
      index[i] = 0;
    }
  }
}
