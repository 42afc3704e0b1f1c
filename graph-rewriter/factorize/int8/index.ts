// Factors as int8 with scales (docs/operators.md, the operators with Q), and back.
import { roundToFloat16 } from '../../floats.js';
import type { Factors, Int8Factors } from '../types.js';
import { balance } from './balance.js';
import { type Group, uGroups, vGroups } from './groups.js';

const LARGEST = 127;

/**
 * Symmetric: one scale for each row of a block of V, and for each r numbers of U: the largest of them / 127, as float16
 * has it. `importance` is E[x_c²] of each input, the diagonal of the covariance; the same for all where it is absent.
 */
export function quantize(given: Factors, importance?: Float32Array): Int8Factors {
  const { V, S, U, ...spec } = balance(given, importance);
  const [v, u] = [round(V, vGroups(spec)), round(U, uGroups(spec))];
  return {
    ...spec,
    V: v.integers,
    vScale: v.scales,
    ...(S && { S: S.map(roundToFloat16) }),
    U: u.integers,
    uScale: u.scales,
  };
}

/** What the integers stand for. */
export function dequantize({ V, vScale, S, U, uScale, ...spec }: Int8Factors): Factors {
  return {
    ...spec,
    V: scaled(V, vGroups(spec), vScale),
    ...(S && { S }),
    U: scaled(U, uGroups(spec), uScale),
  };
}

/** The scale is rounded before the integers are chosen, so that its own rounding costs nothing. */
function round(values: Float32Array, groups: Iterable<Group>) {
  const integers = new Int8Array(values.length);
  const scales: number[] = [];
  for (const [start, end, index] of groups) {
    let peak = 0;
    for (let at = start; at < end; at++) peak = Math.max(peak, Math.abs(values[at]));
    const scale = roundToFloat16(peak / LARGEST);
    scales[index] = scale;
    if (scale === 0) continue;
    for (let at = start; at < end; at++)
      integers[at] = Math.max(-LARGEST, Math.min(LARGEST, Math.round(values[at] / scale)));
  }
  return { integers, scales: Float32Array.from(scales) };
}

function scaled(integers: Int8Array, groups: Iterable<Group>, scales: Float32Array): Float32Array {
  const values = new Float32Array(integers.length);
  for (const [start, end, index] of groups)
    for (let at = start; at < end; at++) values[at] = integers[at] * scales[index];
  return values;
}
