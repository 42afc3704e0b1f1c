// MatMul(X[..., in], W[in, out]) → Y[..., out], or MatMul(W[out, in], X[..., in, n]) → Y[..., out, n]
import { findConstant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Match, type Refusal, refuse, type Rule } from '../rule.js';
import { declaredRank } from '../value-rank.js';
import { matchContraction } from './contraction.js';
import { matchProduct } from './product.js';
import { findConstantWeight, findWeight } from './weight.js';

export const matmulRule: Rule = {
  opType: 'MatMul',

  match(node: Node, graph: Graph): Match | Refusal {
    const weight = findWeight(node, graph);
    if (!('reason' in weight)) return matchProduct(node, graph, weight);
    const isComputed = weight.reason.code === 'weight-not-constant';
    return isComputed && findConstant(graph, node.inputs[0]) !== undefined ? matchLeft(node, graph) : weight;
  },
};

/** Features are X's axis before the last: Transposes swap the two, unless X is a vector. */
function matchLeft(node: Node, graph: Graph): Match | Refusal {
  const [weightName, input] = node.inputs;
  const weight = findConstantWeight(node, graph, weightName);
  if ('reason' in weight) return weight;
  const { name, dims } = weight;
  const isMatrix = dims.length >= 2 && dims.every((dim, i) => (dim === 1) !== i >= dims.length - 2);
  if (!isMatrix)
    return refuse(
      'weight-on-the-left',
      `'${name}', the left operand of ${node.label}, has shape [${dims.join(', ')}], which is no matrix to factorize.`,
      weight,
    );
  const rank = declaredRank(graph, input);
  if (rank === undefined || rank === 0 || (dims.length > 2 && dims.length > rank))
    return refuse(
      'shape-unknown',
      `'${name}' is the left operand of ${node.label}, and the model declares ${rank === undefined ? 'no shape' : 'fewer axes'} of '${input}'. Run shape inference.`,
      weight,
    );
  const batch = Array.from({ length: Math.max(rank - 2, 0) }, (_, i) => `${i}`);
  const columns = rank === 1 ? [] : ['columns'];
  return matchContraction(
    node,
    graph,
    { input, weightName, weight: { ...weight, dims: dims.slice(-2) } },
    { x: [...batch, 'in', ...columns], weight: ['out', 'in'], y: [...batch, 'out', ...columns] },
  );
}
