// What BLAST and Monarch share: cutting X into blocks, and joining the blocks of Y.
import type { NodeBuilder, Value } from './builder.js';

/** One side of the weight: `size` features in `count` blocks of `block`. All are vectors of one int64. */
export interface Side {
  readonly size: Value;
  readonly count: Value;
  readonly block: Value;
  /** Zeros that fill the last block; absent where blocks divide the size. */
  readonly padding?: Value;
}

export function side(b: NodeBuilder, size: Value, count: Value, ragged: boolean): Side {
  if (!ragged) return { size, count, block: b.op('Div', [size, count]) };
  const block = b.op('Div', [b.op('Sub', [b.op('Add', [size, count]), b.ints(1)]), count]);
  return { size, count, block, padding: b.op('Sub', [b.op('Mul', [block, count]), size]) };
}

/** `of`, with zeros after the axis where the side's last block is short. */
export function padSide(b: NodeBuilder, of: Value, rank: number, axis: number, { padding }: Side): Value {
  return padding === undefined ? of : b.padEnd(of, rank, axis, padding);
}

/** X [..., in] → [b_in, N, p], N the number of tokens. */
export function cutTokens(b: NodeBuilder, x: Value, input: Side): Value {
  const rest = b.ints(-1);
  const tokens = input.padding === undefined ? x : padSide(b, b.reshape(x, rest, input.size), 2, 1, input);
  const blocks = b.transpose(b.reshape(tokens, rest, input.count, input.block), 1, 0, 2);
  return unfused(b, blocks, input.count, rest, input.block);
}

/**
 * Keeps a Transpose that feeds a MatMul from being fused into it: ONNX Runtime's FusedMatMul divides by zero, and takes
 * the process down, where there are no tokens (seen with 1.29.0). The Reshape to the same shape copies nothing.
 */
export function unfused(b: NodeBuilder, transposed: Value, ...shape: Value[]): Value {
  return b.reshape(transposed, ...shape);
}

/** Y in blocks [b_out, N, q] → [..., out] with the leading sizes of X. Interleaved: feature o is of block o mod b_out. */
export function joinTokens(b: NodeBuilder, y: Value, x: Value, output: Side, interleaved: boolean): Value {
  const tokens = interleaved ? b.transpose(y, 1, 2, 0) : b.transpose(y, 1, 0, 2);
  const leading = b.leading(x);
  if (output.padding === undefined) return b.reshapeLeading(tokens, leading, output.size);
  const padded = b.reshape(tokens, b.ints(-1), b.op('Mul', [output.count, output.block]));
  return b.reshapeLeading(b.firstColumns(padded, output.size), leading, output.size);
}
