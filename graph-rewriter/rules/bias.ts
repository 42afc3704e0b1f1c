// Add(product, B[out]) → the product with a bias, where nothing else reads the product.
import { findConstant } from '../constants.js';
import { type Match, soleReader } from '../rule.js';

export function fuseBias(match: Match): Match {
  const { graph, output } = match;
  const add = soleReader(graph, output);
  if (match.bias !== undefined || add === undefined || !add.is('Add')) return match;
  if (add.inputs.length !== 2 || !add.outputs[0]) return match;
  const name = add.inputs.find((input) => input !== output);
  const constant = name === undefined ? undefined : findConstant(graph, name);
  if (name === undefined || constant === undefined || constant.graph.inputs.has(constant.name)) return match;
  const { dims, dtype } = constant;
  // A vector never raises the product's rank; a matrix could.
  if (dims.length !== 1 || ![1, match.out].includes(dims[0]) || dtype !== match.weight.dtype) return match;
  return {
    ...match,
    nodes: [...match.nodes, add],
    output: add.outputs[0],
    bias: { name, constant, scale: 1 },
  };
}
