import type { Engine } from '../engine.js';
import { blockedCholesky } from './blocked.js';

/** Shares of the diagonal that are added to it, until the factorization succeeds. */
const RIDGES = [1e-10, 1e-6, 1e-3];

/**
 * Cholesky factor of a symmetric positive semidefinite matrix with a ridge on its diagonal. The ridge is relative to each
 * diagonal entry, so that it means the same for columns of any scale; a step of (A + ridge)⁻¹ instead of A⁻¹ still descends.
 */
export async function regularisedCholesky(engine: Engine, a: Float64Array, n: number): Promise<Float64Array> {
  for (const ridge of RIDGES) {
    const l = withRidge(a, n, ridge);
    if (await blockedCholesky(engine, l, n)) return l;
  }
  throw new Error(
    `a Gram matrix of size ${n} has no Cholesky factor even with ${RIDGES.at(-1)} of its diagonal added`,
  );
}

/** The same of `count` matrices one after another. */
export async function regularisedCholeskies(
  engine: Engine,
  a: Float64Array,
  n: number,
  count: number,
): Promise<Float64Array> {
  const size = n * n;
  const result = new Float64Array(count * size);
  const each = Array.from({ length: count }, (_, i) => a.subarray(i * size, (i + 1) * size));
  if (n <= 2 * engine.loops.panel) {
    each.forEach((matrix, i) => result.set(withRidge(matrix, n, RIDGES[0]), i * size));
    if (engine.loops.cholesky(result, n, count)) return result;
  }
  for (const [i, matrix] of each.entries())
    result.set(await regularisedCholesky(engine, matrix, n), i * size);
  return result;
}

function withRidge(a: Float64Array, n: number, ridge: number): Float64Array {
  let peak = 0;
  for (let i = 0; i < n; i++) peak = Math.max(peak, a[i * n + i]);
  const l = a.slice();
  // Columns that have died out keep an all-zero row; they get a pivot of their own.
  for (let i = 0; i < n; i++) l[i * n + i] = a[i * n + i] * (1 + ridge) + (peak * 1e-14 || 1);
  return l;
}
