// A weight in the form in which its product multiplies by it.
import { findConstant } from './constants.js';
import { encodeFloats } from './floats.js';
import type { Match } from './rule.js';
import type { FloatFactorType } from './types.js';

export interface Operand {
  readonly dims: readonly number[];
  readonly type: FloatFactorType;
  readonly bytes: Uint8Array;
}

/** `data` is [out, in]; the operand has the shape, order and type of the value `match.weightName`. */
export function operandOf(match: Match, data: Float32Array): Operand {
  const { dims } = findConstant(match.graph, match.weightName)!;
  const type = match.weight.dtype as FloatFactorType;
  const isOutIn = match.storedOutIn !== match.weight.transposed;
  const values = isOutIn ? data : transposed(data, match.out, match.in);
  return { dims, type, bytes: encodeFloats(values, type) };
}

function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = data[row * columns + column];
  return result;
}
