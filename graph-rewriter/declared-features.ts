// Whether a product's weight and the shape that the model declares for its input agree.
import { BlockrankError } from './errors.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { declaredDims } from './value-rank.js';

/**
 * Throws INVALID_MODEL where `input` is one of the model's own, declared with another last size than `features`. No runtime loads
 * such a product, but it loads our functions, which compute shapes when they run. Of values between, runtimes infer the shape and
 * ignore what is declared.
 */
export function expectFeatures(graph: Graph, node: Node, input: string, features: number): void {
  const home = graph.definerOf(input);
  if (home.outer !== undefined || !home.inputs.has(input)) return;
  const declared = declaredDims(home, input)?.at(-1);
  if (declared !== undefined && declared !== features)
    throw new BlockrankError(
      'INVALID_MODEL',
      `${node.label} multiplies ${features} features, and its input '${input}' is declared with ${declared}. Correct the shape of the model's input.`,
    );
}
