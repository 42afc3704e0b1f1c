// MatMul(X[..., in], W[in, out]) → Y[..., out]
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Match, Refusal, Rule } from '../rule.js';
import { findWeight } from './weight.js';

export const matmulRule: Rule = {
  opType: 'MatMul',

  match(node: Node, graph: Graph): Match | Refusal {
    const weight = findWeight(node, graph);
    if ('reason' in weight) return weight;
    const [inputs, out] = weight.dims;
    return {
      graph,
      nodes: [node],
      input: node.inputs[0],
      output: node.outputs[0],
      weight,
      weightName: node.inputs[1],
      storedOutIn: weight.transposed,
      in: inputs,
      out,
      scale: 1,
      activation: 'none',
    };
  },
};
