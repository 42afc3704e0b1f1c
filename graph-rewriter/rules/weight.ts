// The conditions on a weight that MatMul and Gemm share.
import { findConstant, otherConstantForm, type Constant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Refusal, refuse } from '../rule.js';

/** The operators take X and Y in these types; products keep the type of their weight. */
const TYPES = ['float32', 'float16'];

/** A constant matrix on the right of the product, or the reason why there is none. */
export function findWeight(node: Node, graph: Graph): Constant | Refusal {
  const [left, name] = node.inputs;
  const weight = findConstant(graph, name);
  if (weight === undefined) return notConstant(node, graph, left, name);
  if (weight.graph.inputs.has(weight.name))
    return refuse(
      'weight-is-graph-input',
      `'${weight.name}' is also an input of the graph, so each run may replace it. Export it as a plain initializer.`,
      weight,
    );
  const { dims, dtype } = weight;
  if (dims.length !== 2)
    return refuse(
      'weight-rank',
      `'${weight.name}' has shape [${dims.join(', ')}]; only matrices are factorized.`,
      weight,
    );
  if (!TYPES.includes(dtype))
    return refuse(
      'weight-type',
      `'${weight.name}' is of type ${dtype}; the operators compute on ${TYPES.join(' and ')}.`,
      weight,
    );
  return weight;
}

function notConstant(node: Node, graph: Graph, left: string, right: string): Refusal {
  const form = otherConstantForm(graph, right);
  if (form !== undefined)
    return refuse('weight-rank', `'${right}' is a Constant given by ${form}, which holds no dense matrix.`);
  const onLeft = findConstant(graph, left);
  if (onLeft !== undefined)
    return refuse(
      'weight-on-the-left',
      `The constant '${onLeft.name}' of ${node.label} is its left operand; the operators multiply by a weight on the right.`,
      onLeft,
    );
  const producer = graph.producer(right);
  const origin = producer === undefined ? 'an input of the graph' : `computed by ${producer.label}`;
  return refuse('weight-not-constant', `'${right}' is ${origin}.`);
}
