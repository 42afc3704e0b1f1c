// MatMul(X[..., in], W[in, out]) → Y[..., out]
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Match, Refusal, Rule } from '../rule.js';
import { matchProduct } from './product.js';
import { findWeight } from './weight.js';

export const matmulRule: Rule = {
  opType: 'MatMul',

  match(node: Node, graph: Graph): Match | Refusal {
    const weight = findWeight(node, graph);
    return 'reason' in weight ? weight : matchProduct(node, graph, weight);
  },
};
