// (X · Vᵀ) · Uᵀ for V [r, in], U [out, r]; of int8 factors the rows times VScale [r], UScale [out].
import type { NodeBuilder, Value } from './builder.js';
import { scaleRows } from './scale.js';

interface LowRankFactors {
  readonly V: Value;
  readonly VScale?: Value;
  readonly U: Value;
  readonly UScale?: Value;
}

export function emitLowRank(b: NodeBuilder, x: Value, { V, VScale, U, UScale }: LowRankFactors): Value {
  const t = b.op('MatMul', [x, b.transpose(scaleRows(b, V, VScale, b.ints(-1, 1)), 1, 0)]);
  return b.op('MatMul', [t, b.transpose(scaleRows(b, U, UScale, b.ints(-1, 1)), 1, 0)]);
}
