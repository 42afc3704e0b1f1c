// The conditions on a weight that all products share, and those of MatMul and Gemm.
import { otherConstantForm } from '../constant-node.js';
import { type Constant, findConstant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Refusal, refuse } from '../rule.js';
import { declaredRank } from '../value-rank.js';

/** The operators take X and Y in these types, the last one on CUDA alone; products keep the type of their weight. */
const TYPES = ['float32', 'float16', 'bfloat16'];

/** A constant matrix on the right of the product, or the reason why there is none; axes of size 1 before it that change nothing are taken off. */
export function findWeight(node: Node, graph: Graph): Constant | Refusal {
  const weight = findConstantWeight(node, graph, node.inputs[1]);
  if ('reason' in weight) return weight;
  const { dims } = weight;
  const rank = dims.length === 2 ? undefined : checkBatch(node, graph, weight);
  return rank === undefined ? { ...weight, dims: dims.slice(-2) } : refuse('weight-rank', rank, weight);
}

/** A constant of any shape that may be factorized, or the reason why not. */
export function findConstantWeight(node: Node, graph: Graph, name: string): Constant | Refusal {
  const weight = findConstant(graph, name);
  if (weight === undefined) return notConstant(graph, name);
  if (weight.graph.inputs.has(weight.name))
    return refuse(
      'weight-is-graph-input',
      `'${weight.name}' is also an input of the graph, so each run may replace it. Export it as a plain initializer.`,
      weight,
    );
  if (!TYPES.includes(weight.dtype))
    return refuse(
      'weight-type',
      `'${weight.name}' of ${node.label} is of type ${weight.dtype}; the operators compute on ${TYPES.join(', ')}.`,
      weight,
    );
  return weight;
}

/** Why a weight of another rank than 2 is no matrix here: [1, …, in, out] is one where X has as many axes, so that Y gains none. */
function checkBatch(node: Node, graph: Graph, { name, dims }: Constant): string | undefined {
  const shape = `'${name}' has shape [${dims.join(', ')}]`;
  if (dims.length < 2 || dims.slice(0, -2).some((dim) => dim !== 1) || node.opType.endsWith('Gemm'))
    return `${shape}; only matrices are factorized.`;
  const [x, y] = [declaredRank(graph, node.inputs[0]), declaredRank(graph, node.outputs[0])];
  if ((x !== undefined && x >= dims.length) || (y !== undefined && y > dims.length)) return undefined;
  return x === undefined
    ? `${shape}, and the model declares no shape of '${node.inputs[0]}': ${node.label} may add axes. Run shape inference, or export the weight as a matrix.`
    : `${shape}, and ${node.label} adds axes to '${node.inputs[0]}', which has ${x}. Export the weight as a matrix.`;
}

function notConstant(graph: Graph, name: string): Refusal {
  const form = otherConstantForm(graph.definerOf(name).producer(name));
  if (form !== undefined)
    return refuse('weight-rank', `'${name}' is a Constant given by ${form}, which holds no dense matrix.`);
  if (graph.definerOf(name).sparse.has(name))
    return refuse('weight-rank', `'${name}' is a sparse initializer; only dense matrices are factorized.`);
  const producer = graph.definerOf(name).producer(name);
  const origin = producer === undefined ? 'an input of the graph' : `computed by ${producer.label}`;
  return refuse('weight-not-constant', `'${name}' is ${origin}.`);
}
