// What brings an operand of another layout to the operators' [..., features], and the result back.
import type { NodeBuilder, Value } from './functions/builder.js';

/** One node: a Transpose by this order of axes, or a Reshape to these sizes, 0 being the size that the axis has. */
export type Move = { readonly transpose: readonly number[] } | { readonly reshape: readonly number[] };

export function emitMoves(b: NodeBuilder, value: Value, moves: readonly Move[]): Value {
  return moves.reduce(
    (at, move) =>
      'transpose' in move ? b.transpose(at, ...move.transpose) : b.reshape(at, b.ints(...move.reshape)),
    value,
  );
}

/** None where the order is the one that there is. */
export function transposition(order: readonly number[]): Move[] {
  return order.every((axis, i) => axis === i) ? [] : [{ transpose: order }];
}
