// A rank's column of U may be multiplied by any number that S, or V where there is none, is divided by: chosen so that U's rows
// lose least by their one scale, and that all scales are within float16.
import { partition, range } from '../partition.js';
import type { Factors } from '../types.js';
import type { Spec } from './groups.js';

/** The same Ŵ. */
export function balance(given: Factors): Factors {
  const f = { ...given, V: given.V.slice(), U: given.U.slice(), ...(given.S && { S: given.S.slice() }) };
  equalizeColumns(f);
  if (f.S) normalizeRows(f.V, f.S, f);
  centre(f);
  return f;
}

/**
 * The step of a row of U is its largest number / 127 for all its columns, and the error of a column counts by what
 * multiplies it: least where all columns are of one size. Of BLAST and Monarch each block of rows has its own.
 */
function equalizeColumns(f: Factors): void {
  const columns = f.structure === 'monarch' ? f.blocksIn * f.rank : f.rank;
  const rows = partition(f.out, f.structure === 'low-rank' ? 1 : f.blocksOut);
  for (let i = 0; i < rows.count; i++) {
    const [top, bottom] = range(rows, i);
    const sums = new Float64Array(columns);
    for (let o = top; o < bottom; o++) for (let k = 0; k < columns; k++) sums[k] += f.U[o * columns + k] ** 2;
    const sizes = sums.map((sum) => (sum > 0 ? Math.sqrt(sum / (bottom - top)) : 1));
    for (let o = top; o < bottom; o++) for (let k = 0; k < columns; k++) f.U[o * columns + k] /= sizes[k];
    sizes.forEach((size, column) => multiply(f, i, column, size));
  }
}

/** What column `column` of U_i multiplies: S_ij[k] for all j, V_ij[k, :], or V[k, :]. */
function multiply(f: Factors, i: number, column: number, by: number): void {
  const scale = (values: Float32Array, start: number, end: number) => {
    for (let at = start; at < end; at++) values[at] *= by;
  };
  if (f.structure === 'low-rank') return scale(f.V, column * f.in, (column + 1) * f.in);
  const k = column % f.rank;
  if (f.structure === 'monarch') {
    const row = (i * f.rank + k) * f.in;
    const [left, right] = range(partition(f.in, f.blocksIn), Math.floor(column / f.rank));
    return scale(f.V, row + left, row + right);
  }
  for (let j = 0; j < f.blocksIn; j++) {
    const at = (i * f.blocksIn + j) * f.rank + k;
    scale(f.S!, at, at + 1);
  }
}

/** Rows of V_j to a largest number of 1: S has their sizes, and its range of float16 is all that limits them. */
function normalizeRows(V: Float32Array, S: Float32Array, spec: Spec): void {
  const columns = partition(spec.in, spec.blocksIn);
  for (let k = 0; k < spec.rank; k++)
    for (let j = 0; j < spec.blocksIn; j++) {
      const [left, right] = range(columns, j);
      const row = V.subarray(k * spec.in + left, k * spec.in + right);
      const peak = largest(row) || 1;
      for (let c = 0; c < row.length; c++) row[c] /= peak;
      for (let i = 0; i < spec.blocksOut; i++) S[(i * spec.blocksIn + j) * spec.rank + k] *= peak;
    }
}

/**
 * Powers of two, which round nothing, from one factor to another: V and U to equal sizes, S to 256 at most. S has the widest range
 * of sizes and no integers beside it, so it is far from the small end of float16; V and U, whose scales only have to be near, go
 * to 2⁻⁶ for it.
 */
function centre({ V, S, U }: Factors): void {
  const shift = (values: Float32Array, exponent: number) => {
    for (let i = 0; i < values.length; i++) values[i] *= 2 ** exponent;
  };
  const [v, u] = [log2(V), log2(U)];
  const s = S ? log2(S) : 0;
  const sum = v + s + u;
  const ofS = S ? Math.min(8, sum + 12) : 0;
  const ofV = Math.round((sum - ofS) / 2);
  if (S) shift(S, ofS - s);
  shift(V, ofV - v);
  shift(U, sum - ofS - ofV - u);
}

function log2(values: Float32Array): number {
  const peak = largest(values);
  return peak > 0 ? Math.round(Math.log2(peak)) : 0;
}

function largest(values: Float32Array): number {
  let peak = 0;
  for (let i = 0; i < values.length; i++) peak = Math.max(peak, Math.abs(values[i]));
  return peak;
}
