// t_ij = V_ij x_j, y_i = Σ_j U_ij t_ij for V [b_out, r, in], U [out, b_in, r]; two batched MatMuls, over j and over i.
// Of int8 factors the rows of blocks times VScale [b_out, b_in, r], UScale [out, b_in].
import { cutTokens, joinTokens, padSide, side } from './blocks.js';
import type { NodeBuilder, Value } from './builder.js';
import { scaleRows } from './scale.js';

interface MonarchFactors {
  readonly V: Value;
  readonly VScale?: Value;
  readonly U: Value;
  readonly UScale?: Value;
}

export function emitMonarch(
  b: NodeBuilder,
  x: Value,
  factors: MonarchFactors,
  { ragged, interleaved }: { ragged: boolean; interleaved: boolean },
): Value {
  const { V, VScale } = factors;
  const rank = b.dim(V, 1);
  const input = side(b, b.dim(V, 2), b.dim(factors.U, 1), ragged);
  const output = side(b, b.dim(factors.U, 0), b.dim(V, 0), ragged);
  const rest = b.ints(-1);
  const U = scaleRows(b, factors.U, factors.UScale, rest, input.count, b.ints(1));
  // [b_in, p, b_out, r] → [b_in, p, b_out · r]
  const blocks = b.reshape(padSide(b, V, 3, 2, input), output.count, rank, input.count, input.block);
  const scale = VScale && b.transpose(VScale, 1, 0, 2);
  const scaled = scaleRows(
    b,
    b.transpose(blocks, 2, 3, 0, 1),
    scale,
    input.count,
    b.ints(1),
    output.count,
    rank,
  );
  const v = b.reshape(scaled, input.count, input.block, rest);
  const t = b.op('MatMul', [cutTokens(b, x, input), v]);
  // [b_in, N, b_out, r] → [b_out, N, b_in · r]
  const swapped = b.transpose(b.reshape(t, input.count, rest, output.count, rank), 2, 1, 0, 3);
  const joined = b.op('Mul', [input.count, rank]);
  const z = b.reshape(swapped, output.count, rest, joined);
  // [b_out, b_in · r, q]
  const rows = padSide(b, U, 3, 0, output);
  const u = interleaved
    ? b.transpose(b.reshape(rows, output.block, output.count, joined), 1, 2, 0)
    : b.transpose(b.reshape(rows, output.count, output.block, joined), 0, 2, 1);
  return joinTokens(b, b.op('MatMul', [z, u]), x, output, interleaved);
}
