// A rank's column of U may be multiplied by any number that S, or V where there is none, is divided by: chosen so that U's rows
// lose little by their one scale, and that all scales are within float16.
import { partition, range } from '../partition.js';
import type { Factors } from '../types.js';
import type { Spec } from './groups.js';

/** The same Ŵ. `importance` is E[x_c²]. */
export function balance(given: Factors, importance?: Float32Array): Factors {
  const f = { ...given, V: given.V.slice(), U: given.U.slice(), ...(given.S && { S: given.S.slice() }) };
  splitColumns(f, importance);
  if (f.S) normalizeRows(f.V, f.S, f);
  centre(f);
  return f;
}

/**
 * The norm of a column of U_i becomes that of what it multiplies, z_i[k] with independent inputs. The step of a row of U
 * is set by its largest number, and an error in a column counts by z_i[k]: equal columns, and columns as large as they
 * count, both lose more (measured: docs/factorization.md).
 */
function splitColumns(f: Factors, importance?: Float32Array): void {
  const columns = f.structure === 'monarch' ? f.blocksIn * f.rank : f.rank;
  const rows = partition(f.out, f.structure === 'low-rank' ? 1 : f.blocksOut);
  const energies = energiesOfV(f, importance);
  for (let i = 0; i < rows.count; i++) {
    const [top, bottom] = range(rows, i);
    const sums = new Float64Array(columns);
    for (let o = top; o < bottom; o++) for (let k = 0; k < columns; k++) sums[k] += f.U[o * columns + k] ** 2;
    const factors = sums.map((sum, column) => {
      const other = energyBehind(f, energies, i, column);
      return sum > 0 && other > 0 ? (other / sum) ** 0.25 : 1;
    });
    for (let o = top; o < bottom; o++) for (let k = 0; k < columns; k++) f.U[o * columns + k] *= factors[k];
    factors.forEach((factor, column) => multiply(f, i, column, 1 / factor));
  }
}

/** Σ_c E[x_c²]·V[row, c]² over block j, at [row, j]. */
function energiesOfV(f: Factors, importance?: Float32Array): Float64Array {
  const energies = new Float64Array((f.V.length / f.in) * f.blocksIn);
  const block = Math.ceil(f.in / f.blocksIn);
  for (let at = 0; at < f.V.length; at++) {
    const column = at % f.in;
    const index = Math.floor(at / f.in) * f.blocksIn + Math.floor(column / block);
    energies[index] += f.V[at] ** 2 * (importance?.[column] ?? 1);
  }
  return energies;
}

/** E[z²] of what column `column` of U_i multiplies, the inputs taken as independent. */
function energyBehind(f: Factors, energies: Float64Array, i: number, column: number): number {
  const k = column % f.rank;
  if (f.structure === 'monarch') return energies[(i * f.rank + k) * f.blocksIn + Math.floor(column / f.rank)];
  let sum = 0;
  for (let j = 0; j < f.blocksIn; j++)
    sum += energies[k * f.blocksIn + j] * (f.S?.[(i * f.blocksIn + j) * f.rank + k] ?? 1) ** 2;
  return sum;
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
