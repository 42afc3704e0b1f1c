// A quick look at what follows a product, before anything is followed symbolically: most products of most models are dense.
import { formula } from '../rules/elementwise.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Interpreter, isFollowed } from './interpret.js';
import { isKnown } from './size.js';

const PRODUCTS = new Set(['MatMul', 'Gemm', 'Einsum', 'Mul']);
const MAX_NODES = 32;

/** A product by a constant of two axes or more. */
export interface Seed {
  readonly node: Node;
  /** The value that it multiplies. */
  readonly entering: string;
  /** The constant has more axes than a matrix. */
  readonly isBlocked: boolean;
}

/** Undefined for other nodes. */
export function seedOf(node: Node, constants: Interpreter): Seed | undefined {
  if (!PRODUCTS.has(node.opType) || !node.is(node.opType)) return undefined;
  const [a = 0, b = 0] = node.inputs.map((name) => constantRank(name, constants));
  if (a > 1 === b > 1) return undefined;
  return { node, entering: node.inputs[a > 1 ? 1 : 0], isBlocked: Math.max(a, b) > 2 };
}

/** Axes of a constant that are not 1; 0 for a value that is computed. */
function constantRank(name: string, constants: Interpreter): number {
  const axes = constants.constant(name)?.axes ?? [];
  return axes.flat().filter(({ size }) => isKnown(size)).length;
}

/**
 * The nodes behind a product as far as sums and products by constants go; behind a product by blocks, as far as anything
 * elementwise does. Undefined where no other product by a constant is among them: then it is no factorized layer.
 */
export function chainBehind(graph: Graph, seed: Seed, constants: Interpreter): ReadonlySet<Node> | undefined {
  const known = new Set([seed.node.outputs[0]]);
  const chain = new Set(graph.readers(seed.node.outputs[0]));
  let hasProduct = false;
  for (const node of chain) {
    if (chain.size > MAX_NODES) break;
    if (!isFollowed(node) && !(seed.isBlocked && formula(node) !== undefined)) continue;
    const others = node.inputs.filter((name) => name !== '' && !known.has(name));
    const isOfConstants = isMoving(node) || others.every((name) => constants.constant(name) !== undefined);
    if (!isOfConstants && !seed.isBlocked) continue;
    hasProduct ||= PRODUCTS.has(node.opType) && others.some((name) => constantRank(name, constants) > 1);
    known.add(node.outputs[0]);
    graph.readers(node.outputs[0]).forEach((reader) => chain.add(reader));
  }
  return hasProduct ? chain : undefined;
}

/** What else it reads is a shape or axes. */
function isMoving({ opType }: Node): boolean {
  return ['Reshape', 'Squeeze', 'Unsqueeze', 'ReduceSum'].includes(opType);
}
