// The products of ONNX Runtime's own optimizer (domain com.microsoft), as models have them that were saved after optimization.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isRefusal, type Match, type Refusal, refuse, type Rule } from '../rule.js';
import { gemmRule } from './gemm.js';
import { matchProduct } from './product.js';
import { findWeight } from './weight.js';

const MICROSOFT = 'com.microsoft';

/** FusedMatMul(X, W) = alpha · X · W′: a MatMul that took in a Transpose and a scalar. */
export const fusedMatMulRule: Rule = {
  opType: 'FusedMatMul',
  domain: MICROSOFT,

  match(node: Node, graph: Graph): Match | Refusal {
    const weight = findWeight(node, graph);
    if ('reason' in weight) return weight;
    const moved = ['transA', 'transBatchA', 'transBatchB'].find((name) => node.int(name, 0) !== 0);
    if (moved !== undefined)
      return refuse(
        'gemm-transposed-input',
        `${node.label} moves axes of its operands (${moved}); the operators do not.`,
        weight,
      );
    const scale = node.float('alpha', 1);
    if (scale === 0 || !Number.isFinite(scale))
      return refuse('gemm-scalars', `${node.label} has alpha ${scale}.`, weight);
    const transB = node.int('transB', 0) !== 0;
    return matchProduct(node, graph, weight, { transB, scale });
  },
};

/** FusedGemm = activation(Gemm). */
export const fusedGemmRule: Rule = {
  opType: 'FusedGemm',
  domain: MICROSOFT,

  match(node: Node, graph: Graph): Match | Refusal {
    const match = gemmRule.match(node, graph);
    const activation = node.string('activation', '');
    if (isRefusal(match) || activation === '') return match;
    if (activation === 'Relu') return { ...match, activation: 'relu' };
    return refuse(
      'operator-not-supported',
      `${node.label} computes ${activation}, which the operators do not; of its activations they have Relu.`,
      match.weight,
    );
  },
};
