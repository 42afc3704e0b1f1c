// The sums of product-sums.ts by an engine's own products of float32.
import type { Engine } from '../factorize/engine.js';
import type { ProductSum, Rows } from './product-sums.js';

/** As `ProductSums.of`, of rows in float32. */
export function floatSums(
  gram: NonNullable<Engine['gram']>,
  a: Rows,
  b: Rows,
  mask: Uint8Array,
  minus?: Rows,
): ProductSum {
  const rows = mask.reduce((count, keep) => count + keep, 0);
  const right = kept(numbers(b), b.size, mask, rows);
  const isOwn = a === b && minus === undefined;
  const left = isOwn ? right : kept(minus ? difference(a, minus) : numbers(a), a.size, mask, rows);
  return {
    product: gram(left, right, rows, a.size, b.size),
    sum: gram(left, new Float32Array(rows).fill(1), rows, a.size, 1),
  };
}

const numbers = ({ tensor }: Rows) => tensor.data as Float32Array;

function difference(a: Rows, minus: Rows): Float32Array {
  const [from, taken] = [numbers(a), numbers(minus)];
  const result = new Float32Array(from.length);
  for (let i = 0; i < result.length; i++) result[i] = from[i] - taken[i];
  return result;
}

function kept(values: Float32Array, size: number, mask: Uint8Array, rows: number): Float32Array {
  if (rows === mask.length) return values;
  const result = new Float32Array(rows * size);
  let to = 0;
  mask.forEach((keep, row) => {
    if (keep) result.set(values.subarray(row * size, (row + 1) * size), size * to++);
  });
  return result;
}
