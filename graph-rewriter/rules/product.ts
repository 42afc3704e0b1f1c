// What every rule says of a product that it accepts: scale · X[..., in] · W[in, out], W stored either way round.
import type { Constant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Match } from '../rule.js';

interface Form {
  /** The node multiplies by the transpose of its second operand. */
  readonly transB?: boolean;
  readonly scale?: number;
}

export function matchProduct(
  node: Node,
  graph: Graph,
  weight: Constant,
  { transB = false, scale = 1 }: Form = {},
): Match {
  const [inputs, out] = transB ? [...weight.dims].reverse() : weight.dims;
  return {
    graph,
    nodes: [node],
    input: node.inputs[0],
    output: node.outputs[0],
    dtype: weight.dtype,
    weight,
    weightName: node.inputs[1],
    storedOutIn: weight.transposed !== transB,
    in: inputs,
    out,
    scale,
    activation: 'none',
  };
}
