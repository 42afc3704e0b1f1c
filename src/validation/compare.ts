// Compares one output of the rewritten model with the same output of the original.
import type * as ort from 'onnxruntime-node';
import { halfToNumber } from '../inputs/half.js';
import { errorStatistics, type ErrorStatistics } from './statistics.js';

/** An element passes where |candidate − reference| ≤ atol + rtol · |reference|. */
export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

export type ComparableTensor = Pick<ort.Tensor, 'type' | 'dims' | 'data'>;

export interface TensorComparison {
  readonly passed: boolean;
  /** One sentence on why it failed; null where it passed. */
  readonly failure: string | null;
  /** Type and shape of the reference. */
  readonly type: string;
  readonly dims: readonly number[];
  /** How many elements were compared; 0 where type or shape differ. */
  readonly elements: number;
  readonly mismatched: number;
  /** Elements that are NaN or infinite: they never match, not even each other. */
  readonly nonFinite: { readonly reference: number; readonly candidate: number };
  /** What the elements were held to: 0 for integers, bools and strings, which must be equal. */
  readonly tolerance: Tolerance;
  /** The least atol that would have passed with this rtol, and the other way round; not regarding non-finite elements. */
  readonly required: Tolerance;
  /** The element farthest beyond its tolerance. */
  readonly worst: WorstElement | null;
  /** Null for strings, and where nothing was compared. */
  readonly statistics: ErrorStatistics | null;
}

export interface WorstElement {
  readonly index: readonly number[];
  readonly reference: number | string;
  readonly candidate: number | string;
}

const FLOATS = ['float32', 'float16', 'float64'];
const EXACT: Tolerance = { atol: 0, rtol: 0 };

/** Half types are widened before they are subtracted. */
export function compareTensors(
  reference: ComparableTensor,
  candidate: ComparableTensor,
  tolerance: Tolerance,
): TensorComparison {
  const float = FLOATS.includes(reference.type);
  const incomparable = typeOrShapeDiffers(reference, candidate);
  if (incomparable !== null) {
    return { ...nothingCompared(reference, float ? tolerance : EXACT), failure: incomparable };
  }
  return float ? compareFloats(reference, candidate, tolerance) : compareExactly(reference, candidate);
}

function typeOrShapeDiffers(reference: ComparableTensor, candidate: ComparableTensor): string | null {
  if (reference.type !== candidate.type) return `type is ${candidate.type}, expected ${reference.type}`;
  const [found, expected] = [candidate.dims.join(', '), reference.dims.join(', ')];
  return found === expected ? null : `shape is [${found}], expected [${expected}]`;
}

function compareFloats(
  reference: ComparableTensor,
  candidate: ComparableTensor,
  tolerance: Tolerance,
): TensorComparison {
  const [a, b] = [toNumbers(reference), toNumbers(candidate)];
  const nonFinite = { reference: 0, candidate: 0 };
  let [mismatched, atol, rtol, worst, worstExcess] = [0, 0, 0, -1, -Infinity];
  for (let i = 0; i < a.length; i++) {
    const finite = Number.isFinite(a[i]) && Number.isFinite(b[i]);
    if (!Number.isFinite(a[i])) nonFinite.reference++;
    if (!Number.isFinite(b[i])) nonFinite.candidate++;
    const error = finite ? Math.abs(b[i] - a[i]) : Infinity;
    const excess = error - tolerance.atol - tolerance.rtol * (finite ? Math.abs(a[i]) : 0);
    // Written so that anything but a clear "within" counts as a mismatch.
    if (!(excess <= 0)) mismatched++;
    if (finite) {
      atol = Math.max(atol, error - tolerance.rtol * Math.abs(a[i]));
      if (error > tolerance.atol) rtol = Math.max(rtol, (error - tolerance.atol) / Math.abs(a[i]));
    }
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  return {
    ...described(reference, a.length, mismatched, nonFinite),
    tolerance,
    required: { atol, rtol },
    worst:
      worst < 0 ? null : { index: unravel(worst, reference.dims), reference: a[worst], candidate: b[worst] },
    statistics: errorStatistics(a, b),
  };
}

function compareExactly(reference: ComparableTensor, candidate: ComparableTensor): TensorComparison {
  const a = reference.data as ArrayLike<bigint | number | string>;
  const b = candidate.data as ArrayLike<bigint | number | string>;
  let [mismatched, first] = [0, -1];
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    mismatched++;
    if (first < 0) first = i;
  }
  const shown = (value: bigint | number | string) => (typeof value === 'bigint' ? Number(value) : value);
  const text = reference.type === 'string';
  const statistics = text ? null : errorStatistics(toNumbers(reference), toNumbers(candidate));
  return {
    ...described(reference, a.length, mismatched, { reference: 0, candidate: 0 }),
    tolerance: EXACT,
    required: { atol: statistics?.absolute.max ?? 0, rtol: statistics?.relative.max ?? 0 },
    worst:
      first < 0
        ? null
        : { index: unravel(first, reference.dims), reference: shown(a[first]), candidate: shown(b[first]) },
    statistics,
  };
}

function described(
  reference: ComparableTensor,
  elements: number,
  mismatched: number,
  nonFinite: TensorComparison['nonFinite'],
) {
  const { type, dims } = reference;
  const failure = mismatched ? explain(elements, mismatched, nonFinite) : null;
  return { passed: mismatched === 0, failure, type, dims, elements, mismatched, nonFinite };
}

function explain(elements: number, mismatched: number, nonFinite: TensorComparison['nonFinite']): string {
  const bad = `${mismatched} of ${elements} elements differ by more than the tolerance`;
  if (nonFinite.reference === 0 && nonFinite.candidate === 0) return bad;
  return `${bad}; NaN or infinite: ${nonFinite.reference} in the reference, ${nonFinite.candidate} in the candidate, which never match`;
}

/** A failed comparison of an output that cannot be compared element by element. */
export function nothingCompared(reference: ComparableTensor, tolerance: Tolerance): TensorComparison {
  return {
    passed: false,
    failure: 'nothing was compared',
    type: reference.type,
    dims: reference.dims,
    elements: 0,
    mismatched: 0,
    nonFinite: { reference: 0, candidate: 0 },
    tolerance,
    required: { atol: Infinity, rtol: Infinity },
    worst: null,
    statistics: null,
  };
}

/** The elements as numbers; half types are widened. */
export function toNumbers({ type, data }: Pick<ComparableTensor, 'type' | 'data'>): ArrayLike<number> {
  // Node before 24 has no Float16Array and gives the raw bits.
  if (type === 'float16' && data instanceof Uint16Array) return Float32Array.from(data, halfToNumber);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number);
  return data as ArrayLike<number>;
}

function unravel(position: number, dims: readonly number[]): number[] {
  const index: number[] = [];
  let rest = position;
  for (const dim of dims.toReversed()) {
    index.unshift(rest % dim);
    rest = Math.floor(rest / dim);
  }
  return index;
}
