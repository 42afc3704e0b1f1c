// The scale of a group of numbers: the one of least squared error, of float16, and the integers that it gives.
import { roundToFloat16 } from '../../floats.js';

const LARGEST = 127;
/** Shares of the largest magnitude that ±127 may stand for: clipping the tail a little makes all other steps finer. */
const SHARES = [1, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79];

/** Fills `integers` and returns the scale; 0 for zeros. */
export function quantizeGroup(values: Float32Array, integers: Int8Array, importance?: Float32Array): number {
  const peak = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  let best = 0;
  let least = Infinity;
  for (const share of SHARES) {
    const scale = roundToFloat16((share * peak) / LARGEST);
    const error = squaredError(values, scale, importance);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  for (let i = 0; i < values.length; i++) integers[i] = nearest(values[i], best);
  return best;
}

function squaredError(values: Float32Array, scale: number, importance?: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const error = values[i] - scale * nearest(values[i], scale);
    sum += error * error * (importance?.[i] ?? 1);
  }
  return sum;
}

function nearest(value: number, scale: number): number {
  return scale === 0 ? 0 : Math.max(-LARGEST, Math.min(LARGEST, Math.round(value / scale)));
}
