// t_j = V_j x_j, z_i = Σ_j S_ij ⊙ t_j, y_i = U_i z_i for V [r, in], S [b_out, b_in, r], U [out, r]; each stage one batched MatMul.
// Of int8 factors the rows times VScale [b_in, r], UScale [out].
import { cutTokens, joinTokens, padSide, side, unfused } from './blocks.js';
import type { NodeBuilder, Value } from './builder.js';
import { scaleRows } from './scale.js';

interface BlastFactors {
  readonly V: Value;
  readonly VScale?: Value;
  readonly S: Value;
  readonly U: Value;
  readonly UScale?: Value;
}

export function emitBlast(b: NodeBuilder, x: Value, factors: BlastFactors, ragged: boolean): Value {
  const { V, S } = factors;
  const U = scaleRows(b, factors.U, factors.UScale, b.ints(-1, 1));
  const rank = b.dim(V, 0);
  const input = side(b, b.dim(V, 1), b.dim(S, 1), ragged);
  const output = side(b, b.dim(U, 0), b.dim(S, 0), ragged);
  // [b_in, p, r]
  const blocks = b.transpose(b.reshape(padSide(b, V, 2, 1, input), rank, input.count, input.block), 1, 2, 0);
  const v = scaleRows(b, blocks, factors.VScale, input.count, b.ints(1), rank);
  // [b_out, r, q]
  const u = b.transpose(b.reshape(padSide(b, U, 2, 0, output), output.count, output.block, rank), 0, 2, 1);
  const t = b.op('MatMul', [cutTokens(b, x, input), v]);
  // Over r: [r, b_out, b_in] · [r, b_in, N]
  const z = b.op('MatMul', [b.transpose(S, 2, 0, 1), b.transpose(t, 2, 0, 1)]);
  const tokens = unfused(b, b.transpose(z, 1, 2, 0), output.count, b.ints(-1), rank);
  const y = b.op('MatMul', [tokens, u]);
  return joinTokens(b, y, x, output, false);
}
