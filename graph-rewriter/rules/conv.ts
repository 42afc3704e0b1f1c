// Conv(X[n, in, ...], W[out, in, 1, ...], B[out]) → Y[n, out, ...] is a product over the channels, with Transposes around.
import { findConstant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isRefusal, type Match, type Refusal, refuse, type Rule } from '../rule.js';
import { matchContraction } from './contraction.js';
import { findConstantWeight } from './weight.js';

export const convRule: Rule = {
  opType: 'Conv',

  match(node: Node, graph: Graph): Match | Refusal {
    const [input, weightName, biasName = ''] = node.inputs;
    const weight = findConstantWeight(node, graph, weightName);
    if ('reason' in weight) return weight;
    const odd = oddConv(node, weight.dims);
    if (odd !== undefined)
      return refuse(
        'not-a-matrix-product',
        `It ${odd}; only a 1×1 Conv of stride 1 is a matrix product.`,
        weight,
      );
    const places = weight.dims.slice(2).map((_, i) => `${i}`);
    const match = matchContraction(
      node,
      graph,
      { input, weightName, weight: { ...weight, dims: weight.dims.slice(0, 2) } },
      { x: ['n', 'in', ...places], weight: ['out', 'in'], y: ['n', 'out', ...places] },
    );
    if (isRefusal(match) || biasName === '') return match;
    const constant = findConstant(graph, biasName);
    if (constant?.dims.length !== 1 || constant.transposed || constant.graph.inputs.has(constant.name))
      return refuse('bias-not-a-row', `B of ${node.label}, '${biasName}', is not constant.`, weight);
    return { ...match, bias: { name: biasName, constant, scale: 1 } };
  },
};

/** What it does besides summing over channels. */
function oddConv(node: Node, dims: readonly number[]): string | undefined {
  const kernel = dims.slice(2);
  const isOther = (value: number) => (other: number) => other !== value;
  if (kernel.length === 0) return 'has a weight without a kernel';
  if (kernel.some(isOther(1))) return `has a kernel of ${kernel.join('×')}`;
  if (node.int('group', 1) !== 1) return `has ${node.int('group', 1)} groups`;
  const strides = node.ints('strides') ?? [];
  if (strides.some(isOther(1))) return `has strides of ${strides.join('×')}`;
  if ((node.ints('pads') ?? []).some(isOther(0))) return 'pads its input';
  return undefined;
}
