// Gemm(A[m, in], B, C) = alpha · A · B' + beta · C  →  activation-ready product with bias; B is [in, out], or [out, in] with transB.
import { findConstant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Bias, type Match, type Refusal, refuse, type Rule } from '../rule.js';
import { matchProduct } from './product.js';
import { findWeight } from './weight.js';

export const gemmRule: Rule = {
  opType: 'Gemm',

  match(node: Node, graph: Graph): Match | Refusal {
    const weight = findWeight(node, graph);
    if ('reason' in weight) return weight;
    if (node.int('transA', 0) !== 0)
      return refuse(
        'gemm-transposed-input',
        `${node.label} transposes its input (transA); the operators do not.`,
        weight,
      );
    const transB = node.int('transB', 0) !== 0;
    const scale = node.float('alpha', 1);
    const beta = node.float('beta', 1);
    if (scale === 0 || !Number.isFinite(scale) || !Number.isFinite(beta))
      return refuse('gemm-scalars', `${node.label} has alpha ${scale} and beta ${beta}.`, weight);
    const match = matchProduct(node, graph, weight, { transB, scale });
    const bias = findBias(node, graph, beta, match.out);
    if (bias === null)
      return refuse(
        'bias-not-a-row',
        `C of ${node.label}, '${node.inputs[2]}', is not a constant of shape [${match.out}] or [1, ${match.out}].`,
        weight,
      );
    return { ...match, ...(bias && { bias }) };
  },
};

/** null: C is there but is no constant row. */
function findBias(node: Node, graph: Graph, beta: number, out: number): Bias | undefined | null {
  const name = node.inputs[2] ?? '';
  if (name === '' || beta === 0) return undefined;
  const constant = findConstant(graph, name);
  if (constant === undefined || constant.transposed || constant.graph.inputs.has(constant.name)) return null;
  const dims = constant.dims;
  const isRow = dims.length <= 2 && (dims[0] === 1 || dims.length < 2) && [1, out].includes(dims.at(-1) ?? 1);
  return isRow ? { name, constant, scale: beta } : null;
}
