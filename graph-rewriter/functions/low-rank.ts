// (X · Vᵀ) · Uᵀ for V [r, in], U [out, r].
import type { NodeBuilder, Value } from './builder.js';

export function emitLowRank(b: NodeBuilder, x: Value, { V, U }: { V: Value; U: Value }): Value {
  const t = b.op('MatMul', [x, b.transpose(V, 1, 0)]);
  return b.op('MatMul', [t, b.transpose(U, 1, 0)]);
}
