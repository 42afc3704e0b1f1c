// int8 factors to floats, with no regard to DequantizeLinear: its scales for an axis need opset 13, those for blocks 21.
import type { NodeBuilder, Value } from './builder.js';

/** The factor times its scales, which are brought to a shape that broadcasts; the factor itself where it has none. */
export function scaleRows(b: NodeBuilder, factor: Value, scale: Value | undefined, ...shape: Value[]): Value {
  return scale === undefined ? factor : b.op('Mul', [factor, b.reshape(scale, ...shape)]);
}
