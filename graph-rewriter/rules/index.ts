// All rules, and the products that are listed without one.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isRefusal, type Match, refuse, type Refusal, type Rule } from '../rule.js';
import { fuseActivation } from './activation.js';
import { fuseBias } from './bias.js';
import { convRule } from './conv.js';
import { einsumRule } from './einsum.js';
import { fusedGemmRule, fusedMatMulRule } from './fused.js';
import { gemmRule } from './gemm.js';
import { matmulRule } from './matmul.js';

const RULES: readonly Rule[] = [matmulRule, gemmRule, convRule, einsumRule, fusedMatMulRule, fusedGemmRule];

/** Products and convolutions that users will look for in the list. Anything else is not listed at all. */
export const NOT_SUPPORTED: ReadonlyMap<string, string> = new Map([
  ['MatMulInteger', 'multiplies 8-bit integers'],
  ['QLinearMatMul', 'multiplies 8-bit integers and quantizes the result'],
  ['MatMulNBits', 'has a weight packed in blocks of 2 to 8 bits'],
  ['MatMulBnb4', 'has a weight packed in 4-bit floats'],
  ['MatMulIntegerToFloat', 'multiplies 8-bit integers'],
  ['MatMulFpQ4', 'has a weight packed in 4-bit numbers'],
  ['DynamicQuantizeMatMul', 'quantizes its input for a weight of 8-bit integers'],
  ['QGemm', 'multiplies 8-bit integers'],
  ['GemmFastGelu', 'is a product with an approximate GELU that only some providers have'],
  ['ConvInteger', 'convolves 8-bit integers'],
  ['QLinearConv', 'convolves 8-bit integers'],
  ['ConvTranspose', 'spreads each input over several outputs'],
  ['FusedConv', 'is a Conv with an activation that ONNX Runtime put together'],
  ['NhwcFusedConv', 'is a Conv with an activation that ONNX Runtime put together'],
  ['FusedMatMul', 'is of a domain that no rule reads'],
  ['FusedGemm', 'is of a domain that no rule reads'],
]);

export function isProduct(node: Node): boolean {
  // An Einsum of one operand transposes or sums.
  if (node.is('Einsum')) return node.inputs.length > 1;
  return ruleFor(node) !== undefined || NOT_SUPPORTED.has(node.opType);
}

/** The match with everything that can be fused into it. */
export function matchProduct(node: Node, graph: Graph): Match | Refusal {
  const rule = ruleFor(node);
  if (rule === undefined)
    return refuse(
      'operator-not-supported',
      `${node.label} ${NOT_SUPPORTED.get(node.opType)!}; rewrite the model before it is quantized or optimized.`,
    );
  const match = rule.match(node, graph);
  // What follows an activation is no part of the product.
  return isRefusal(match) || match.activation !== 'none' ? match : fuseActivation(fuseBias(match));
}

function ruleFor(node: Node): Rule | undefined {
  return RULES.find(({ opType, domain }) =>
    domain === undefined ? node.is(opType) : node.opType === opType && node.domain === domain,
  );
}
