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
  if (!isRow(constant.dims, match) || constant.transposed || constant.dtype !== match.weight.dtype)
    return match;
  return {
    ...match,
    nodes: [...match.nodes, add],
    output: add.outputs[0],
    bias: { name, constant, scale: 1 },
  };
}

/** One number for each feature, or one for all, that does not raise the product's rank: a vector never does, more axes could. */
function isRow(dims: readonly number[], { out, biasShape = [out], rank = 1 }: Match): boolean {
  if (dims.length < 1 || dims.length > Math.max(rank, 1)) return false;
  const own = dims.slice(dims.findIndex((dim) => dim !== 1));
  const wide = biasShape.slice(biasShape.findIndex((dim) => dim !== 1));
  return dims.every((dim) => dim === 1) || own.join() === wide.join();
}
