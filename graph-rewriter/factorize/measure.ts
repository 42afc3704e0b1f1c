import { stack, type Engine, type Stack } from './engine.js';
import type { Metric } from './metric.js';
import { partition, range } from './partition.js';
import { reconstructRows } from './reconstruct.js';
import { chunks, submatrix } from './rows.js';
import type { DenseWeight, Factors } from './types.js';

export interface FactorErrors {
  /** ‖W − Ŵ‖_F / ‖W‖_F */
  readonly relative: number;
  /** sqrt(tr(E·C·Eᵀ) / tr(W·C·Wᵀ)), E = diag(d)(W − Ŵ) and W taken with diag(d) too */
  readonly weighted: number;
}

/** What errors are relative to: ‖W‖², and tr(W·C·Wᵀ) with W taken as diag(d)·W. */
export interface Energies {
  readonly plain: number;
  readonly weighted: number;
}

export async function weightEnergies(
  engine: Engine,
  weight: DenseWeight,
  metric: Metric,
  outputScale?: Float32Array,
): Promise<Energies> {
  const sums = { plain: 0, weighted: 0 };
  for (const { start, end, values } of chunks(
    submatrix(weight.data, weight.in, [0, weight.out], [0, weight.in]),
  )) {
    sums.plain += energy(values, values);
    sums.weighted += energy(values, await metric.apply(engine, values), outputScale?.subarray(start, end));
  }
  return sums;
}

/** Errors of the factors as they are stored (float32), computed in double from Ŵ itself; or, given other factors, Ŵ's distance from theirs. */
export async function measureErrors(
  engine: Engine,
  weight: DenseWeight,
  factors: Factors,
  metric: Metric,
  { plain, weighted }: Energies,
  outputScale?: Float32Array,
  from?: Factors,
): Promise<FactorErrors> {
  const sums = { plain: 0, weighted: 0 };
  const rows = partition(weight.out, factors.blocksOut);
  for (let i = 0; i < factors.blocksOut; i++) {
    const [top, bottom] = range(rows, i);
    for (const { start, end, values } of chunks(
      submatrix(weight.data, weight.in, [top, bottom], [0, weight.in]),
    )) {
      const fitted = await reconstructRows(engine, factors, i, top + start, top + end);
      const target = from ? await reconstructRows(engine, from, i, top + start, top + end) : values;
      const error = stack(subtract(target.data, fitted.data), 1, values.rows, values.cols);
      const scale = outputScale?.subarray(top + start, top + end);
      sums.plain += energy(error, error);
      sums.weighted += energy(error, await metric.apply(engine, error), scale);
    }
  }
  return { relative: ratio(sums.plain, plain), weighted: ratio(sums.weighted, weighted) };
}

/** Σ over rows o of scale[o]² ⟨a_o, b_o⟩ */
export function energy(a: Stack, b: Stack, scale?: Float32Array): number {
  let sum = 0;
  for (let o = 0; o < a.rows; o++) {
    let row = 0;
    for (let at = o * a.cols; at < (o + 1) * a.cols; at++) row += a.data[at] * b.data[at];
    sum += scale ? row * scale[o] ** 2 : row;
  }
  return sum;
}

/** A weight of zeros is met exactly: 0, not 0/0. */
function ratio(error: number, whole: number): number {
  return error > 0 ? Math.sqrt(error / whole) : 0;
}

function subtract(a: Float64Array, b: Float64Array): Float64Array {
  const result = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) result[i] = a[i] - b[i];
  return result;
}
