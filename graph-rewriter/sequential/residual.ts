// The residual stream that a layer writes to, found by following its output to the Add.
import { constantNumbers, findConstant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Match, soleReader } from '../rule.js';

/** A value that is added to the layer's output after row o of it was multiplied by `scale`. */
export interface ResidualTerm {
  readonly name: string;
  /** [out], or [1] for one number. */
  readonly scale: Float32Array;
}

/** These pass rows on as they are. Dropout does nothing at inference. */
const PASSING = new Set(['Identity', 'Dropout', 'Cast', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten']);

/**
 * Every value that meets the layer's output in an Add before anything but a bias, a constant scale or a view is done to
 * it. `isBefore` tells values that are known by the time that the layer is solved from those that are not, such as the
 * other one of two parallel branches.
 */
export function residualTerms(
  match: Match,
  constants: ReadonlySet<Node>,
  isBefore: (name: string) => boolean,
): ResidualTerm[] {
  const { graph } = match;
  const terms: ResidualTerm[] = [];
  let at = match.nodes[0].outputs[0];
  let scale: Float32Array = Float32Array.of(match.scale);
  for (;;) {
    const node = soleReader(graph, at);
    if (node === undefined) return terms;
    if (node.is('Add')) {
      const other = node.inputs.find((name) => name !== at);
      if (other === undefined) return terms;
      if (!isConstant(graph, constants, other) && isBefore(other)) terms.push({ name: other, scale });
    } else if (node.is('Mul') || node.is('Div')) {
      const factor = constantFactor(graph, node, at, match.out);
      if (factor === undefined) return terms;
      scale = multiply(scale, factor);
    } else if (!PASSING.has(node.opType) || !node.is(node.opType) || node.inputs[0] !== at) return terms;
    at = node.outputs[0];
  }
}

function isConstant(graph: Graph, constants: ReadonlySet<Node>, name: string): boolean {
  const producer = graph.producer(name);
  return producer === undefined ? !graph.inputs.has(name) : constants.has(producer);
}

/** What Mul or Div multiplies each output channel by: a constant scalar, or a row as LayerScale has it. */
function constantFactor(graph: Graph, node: Node, at: string, out: number): Float32Array | undefined {
  const isDivision = node.is('Div');
  if (isDivision && node.inputs[0] !== at) return undefined;
  const other = node.inputs.find((name) => name !== at);
  const constant = other === undefined ? undefined : findConstant(graph, other);
  if (constant === undefined || constant.transposed || constant.graph.inputs.has(constant.name))
    return undefined;
  const isRow =
    constant.tensor.count === 1 || (constant.tensor.count === out && constant.dims.at(-1) === out);
  if (!isRow) return undefined;
  const numbers = constantNumbers(constant).map((value) => (isDivision ? 1 / value : value));
  return numbers.every((value) => Number.isFinite(value) && value !== 0) ? numbers : undefined;
}

function multiply(a: Float32Array, b: Float32Array): Float32Array {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  return long.map((value, i) => value * short[short.length === 1 ? 0 : i]);
}
