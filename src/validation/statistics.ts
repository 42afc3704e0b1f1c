// How far one array of numbers is from another, in float64.

export interface Spread {
  readonly max: number;
  readonly mean: number;
  /** 99 % of the elements are at or below it (nearest rank). */
  readonly p99: number;
}

/** Over the elements that are finite in both arrays. */
export interface ErrorStatistics {
  /** |candidate − reference| */
  readonly absolute: Spread;
  /** |candidate − reference| / |reference|, over the elements whose reference is not 0. */
  readonly relative: Spread;
  /** Cosine of the angle between the arrays as vectors; 1 for two zero vectors. */
  readonly cosine: number;
  /** 10 · log10(Σ reference² / Σ (candidate − reference)²) in dB; infinite where nothing differs. */
  readonly signalToNoise: number;
}

export function errorStatistics(reference: ArrayLike<number>, candidate: ArrayLike<number>): ErrorStatistics {
  const errors = new Float64Array(reference.length);
  const absolute = spread(errors, fillErrors(errors, reference, candidate, false));
  const relative = spread(errors, fillErrors(errors, reference, candidate, true));
  const sums = products(reference, candidate);
  const norms = Math.sqrt(sums.reference) * Math.sqrt(sums.candidate);
  return {
    absolute,
    relative,
    cosine: norms > 0 ? sums.both / norms : sums.reference === sums.candidate ? 1 : 0,
    signalToNoise: sums.error === 0 ? Infinity : 10 * Math.log10(sums.reference / sums.error),
  };
}

/** Writes the errors that count to the front of `errors`; gives how many. */
function fillErrors(
  errors: Float64Array,
  reference: ArrayLike<number>,
  candidate: ArrayLike<number>,
  relative: boolean,
): number {
  let count = 0;
  for (let i = 0; i < reference.length; i++) {
    const error = Math.abs(candidate[i] - reference[i]);
    if (!Number.isFinite(error) || (relative && reference[i] === 0)) continue;
    errors[count++] = relative ? error / Math.abs(reference[i]) : error;
  }
  return count;
}

function products(reference: ArrayLike<number>, candidate: ArrayLike<number>) {
  const sums = { reference: 0, candidate: 0, both: 0, error: 0 };
  for (let i = 0; i < reference.length; i++) {
    const [a, b] = [reference[i], candidate[i]];
    if (!Number.isFinite(a) || !Number.isFinite(b)) continue;
    sums.reference += a * a;
    sums.candidate += b * b;
    sums.both += a * b;
    sums.error += (b - a) ** 2;
  }
  return sums;
}

/** All 0 where nothing counts. */
function spread(errors: Float64Array, count: number): Spread {
  if (count === 0) return { max: 0, mean: 0, p99: 0 };
  let max = 0;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    max = Math.max(max, errors[i]);
    sum += errors[i];
  }
  return { max, mean: sum / count, p99: select(errors.subarray(0, count), Math.ceil(0.99 * count) - 1) };
}

/** The element that sorting would put at `rank` (Hoare's selection); reorders `values`. */
export function select(values: Float64Array, rank: number): number {
  let [low, high] = [0, values.length - 1];
  while (low < high) {
    const pivot = values[(low + high) >> 1];
    let [left, right] = [low, high];
    while (left <= right) {
      while (values[left] < pivot) left++;
      while (values[right] > pivot) right--;
      if (left > right) break;
      [values[left], values[right]] = [values[right], values[left]];
      left++;
      right--;
    }
    if (rank <= right) high = right;
    else if (rank >= left) low = left;
    else break;
  }
  return values[rank];
}
