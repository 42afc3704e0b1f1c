// Which node of a rewritten model stands for which dense layer of the original.
import { BlockrankError } from './errors.js';
import type { DenseWeight, Factors } from './factorize/types.js';
import { findLayers } from './layers.js';
import { openModel } from './inline/index.js';
import { DOMAIN, type Model } from './model.js';
import type { Match } from './rule.js';
import { factorNumbers, readStructuredNode, type StructuredNode } from './structured-node.js';
import type { LayerInfo } from './types.js';
import { readWeight } from './weight.js';

export interface LayerPair {
  readonly layer: LayerInfo;
  readonly op: string;
  readonly spec: StructuredNode['spec'];
  readonly factorType: string;
  /** Stored bytes of the factors. */
  readonly bytes: number;
  /** Reads W, scaled as the layer scales it; [out, in]. */
  readWeight(): DenseWeight;
  readFactors(): Factors;
}

/**
 * Calls `visit` with every pair, in the original's order; both files are open meanwhile. Rewriting changes no name of a value, so the
 * output's name, with the body it is in, says which layer a node replaced. Convs, Einsums and weights on the left are left out.
 * @throws BlockrankError INVALID_ARGUMENT where nothing of `rewritten` came from `original`, INVALID_MODEL, EXTERNAL_DATA, IO
 */
export async function visitPairs(
  original: string,
  rewritten: string,
  visit: (pair: LayerPair, index: number, total: number) => Promise<void>,
): Promise<void> {
  const models = [openModel(original)];
  try {
    models.push(openModel(rewritten));
    const pairs = findPairs(models[0], models[1]);
    if (pairs.length === 0)
      throw new BlockrankError(
        'INVALID_ARGUMENT',
        `No layer of ${original} is block low-rank in ${rewritten}. Expected an original model and what rewrite made of it, in this order.`,
      );
    for (const [index, pair] of pairs.entries()) await visit(pair, index, pairs.length);
  } finally {
    models.forEach((model) => model.close());
  }
}

function findPairs(original: Model, rewritten: Model): LayerPair[] {
  const nodes = new Map(
    rewritten.graph
      .within()
      .flatMap((graph) =>
        graph.nodes
          .filter(({ domain }) => domain === DOMAIN)
          .map((node) => [graph.place + node.outputs[0], readStructuredNode(node, graph)]),
      ),
  );
  return findLayers(original).flatMap(({ info, match }) => {
    const structured = match && isPlain(match) && nodes.get(match.graph.place + match.output);
    return structured ? [pairOf(info, match, structured)] : [];
  });
}

/** Others (Conv, Einsum, weights on the left) have Transposes around the new node or their own order of axes. */
function isPlain({ axes, before = [], after = [] }: Match): boolean {
  return axes === undefined && before.length + after.length === 0;
}

function pairOf(layer: LayerInfo, match: Match, { node, spec, factors }: StructuredNode): LayerPair {
  const stored = Object.values(factors).flatMap((factor) => factor ?? []);
  return {
    layer,
    op: node.opType,
    spec,
    factorType: factors.V!.dtype,
    bytes: stored.reduce((sum, { tensor }) => sum + tensor.bytes, 0),
    readWeight: () => scaledWeight(match),
    readFactors: () => factorNumbers(spec, factors),
  };
}

function scaledWeight(match: Match): DenseWeight {
  const weight = readWeight(match);
  if ('code' in weight) throw new BlockrankError('INVALID_MODEL', weight.message);
  if (match.scale !== 1) weight.data.forEach((value, i) => (weight.data[i] = value * match.scale));
  return weight;
}
