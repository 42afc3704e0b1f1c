// All rules, and the products that are listed without one.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isRefusal, type Match, refuse, type Refusal, type Rule } from '../rule.js';
import { fuseActivation } from './activation.js';
import { fuseBias } from './bias.js';
import { gemmRule } from './gemm.js';
import { matmulRule } from './matmul.js';

const RULES: readonly Rule[] = [matmulRule, gemmRule];

/** Products that users will look for in the list. Anything that is not a matrix product is not listed at all. */
const UNSUPPORTED = new Set([
  'MatMulInteger',
  'QLinearMatMul',
  'MatMulNBits',
  'MatMulBnb4',
  'MatMulIntegerToFloat',
  'DynamicQuantizeMatMul',
  'FusedMatMul',
  'FusedGemm',
  'GemmFastGelu',
  'QGemm',
]);

export function isProduct(node: Node): boolean {
  return RULES.some((rule) => node.is(rule.opType)) || UNSUPPORTED.has(node.opType);
}

/** The match with everything that can be fused into it. */
export function matchProduct(node: Node, graph: Graph): Match | Refusal {
  const rule = RULES.find((rule) => node.is(rule.opType));
  if (rule === undefined)
    return refuse('operator-not-supported', `${node.label} multiplies in a form that no rule reads yet.`);
  const match = rule.match(node, graph);
  return isRefusal(match) ? match : fuseActivation(fuseBias(match));
}
