// What the best factors of each rank leave out of a weight.
import type { Engine } from '../factorize/engine.js';
import { smallerGram } from '../factorize/low-rank.js';
import { leadingValues } from '../factorize/linalg/subspace.js';
import type { Metric } from '../factorize/metric.js';
import { partition, range } from '../factorize/partition.js';
import { submatrix } from '../factorize/rows.js';
import type { DenseWeight } from '../factorize/types.js';

/** [r] = Σ_{k > r} e_k over the eigenvalues of A C Aᵀ, A = diag(d) W: the error tr(E C Eᵀ) of rank r, falling to 0. */
export type Tails = Float64Array;

/** Of low rank, in double; the eigenvalues beyond `most`, where they are not computed, count together. */
export async function lowRankTails(
  engine: Engine,
  weight: DenseWeight,
  metric: Metric,
  outputScale: Float32Array | undefined,
  most: number,
): Promise<Tails> {
  const all = [
    [0, weight.out],
    [0, weight.in],
  ] as const;
  return blockTails(engine, weight, metric, outputScale, all, most);
}

/** Of Monarch: blocks are fitted each in its own metric, and rank r leaves out the sum of what each leaves out. */
export async function monarchTails(
  engine: Engine,
  weight: DenseWeight,
  metric: Metric,
  outputScale: Float32Array | undefined,
  { blocksIn, blocksOut }: { readonly blocksIn: number; readonly blocksOut: number },
): Promise<Tails> {
  let sum: Tails = new Float64Array(1);
  for (let j = 0; j < blocksIn; j++) {
    const columns = range(partition(weight.in, blocksIn), j);
    const own = metric.principal(...columns);
    for (let i = 0; i < blocksOut; i++) {
      const rows = range(partition(weight.out, blocksOut), i);
      const tails = await blockTails(engine, weight, own, outputScale, [rows, columns], weight.in);
      sum = add(sum, tails);
    }
  }
  return sum;
}

async function blockTails(
  engine: Engine,
  weight: DenseWeight,
  metric: Metric,
  outputScale: Float32Array | undefined,
  [rows, columns]: readonly [readonly [number, number], readonly [number, number]],
  most: number,
): Promise<Tails> {
  const source = submatrix(weight.data, weight.in, rows, columns, outputScale);
  const { gram, n } = await smallerGram(engine, source, metric);
  let total = 0;
  for (let k = 0; k < n; k++) total += gram[k * (n + 1)];
  const values = await leadingValues(engine, gram, n, Math.min(most, n));
  const known = values.reduce((sum, value) => sum + Math.max(value, 0), 0);
  const tails = new Float64Array(n + 1);
  tails[n] = 0;
  let rest = values.length < n ? Math.max(total - known, 0) : 0;
  for (let k = n - 1; k >= 0; k--) {
    if (k < values.length) rest += Math.max(values[k], 0);
    tails[k] = rest;
  }
  return tails;
}

/** At a rank that need not be whole. */
export function tailAt(tails: Tails, rank: number): number {
  const last = tails.length - 1;
  if (rank >= last) return tails[last];
  const below = Math.floor(rank);
  return tails[below] + (rank - below) * (tails[below + 1] - tails[below]);
}

function add(a: Float64Array, b: Float64Array): Float64Array {
  return Float64Array.from({ length: Math.max(a.length, b.length) }, (_, k) => (a[k] ?? 0) + (b[k] ?? 0));
}
