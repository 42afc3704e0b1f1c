// Factors as int8 with scales (docs/operators.md, the operators with Q), and back.
import { roundToFloat16 } from '../../floats.js';
import type { Factors, Int8Factors } from '../types.js';
import { balance } from './balance.js';
import { uGroups, vGroups } from './groups.js';
import { quantizeGroup } from './scale.js';

/**
 * Symmetric: one scale for each row of a block of V, and for each r numbers of U. Scales and S are numbers of float16.
 * `importance` is E[x_c²] of each input, the diagonal of the covariance: errors in V count by it.
 */
export function quantize(given: Factors, importance?: Float32Array): Int8Factors {
  const { V, S, U, ...spec } = balance(given);
  const v = quantizeFactor(V, vGroups(spec), (start, end) => {
    const column = start % spec.in;
    return importance?.subarray(column, column + end - start);
  });
  const u = quantizeFactor(U, uGroups(spec));
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

type Groups = Iterable<readonly [start: number, end: number, scale: number]>;

function quantizeFactor(
  values: Float32Array,
  groups: Groups,
  importance: (start: number, end: number) => Float32Array | undefined = () => undefined,
) {
  const integers = new Int8Array(values.length);
  const scales: number[] = [];
  for (const [start, end, scale] of groups)
    scales[scale] = quantizeGroup(
      values.subarray(start, end),
      integers.subarray(start, end),
      importance(start, end),
    );
  return { integers, scales: Float32Array.from(scales) };
}

function scaled(integers: Int8Array, groups: Groups, scales: Float32Array): Float32Array {
  const values = new Float32Array(integers.length);
  for (const [start, end, scale] of groups)
    for (let at = start; at < end; at++) values[at] = integers[at] * scales[scale];
  return values;
}
