// Layers of a graph that are low rank, BLAST or Monarch already, and products that come near it.
import type { ExcerptRequest } from './excerpt.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Fusion } from '../rule.js';
import { fuseActivation } from '../rules/activation.js';
import { biasOf } from './bias.js';
import { explain, interrupted } from './near-miss.js';
import { chainBehind, type Seed, seedOf } from './ahead.js';
import { exactType, multipliedType } from './factor-type.js';
import { Interpreter } from './interpret.js';
import { type Found, findIn, growRegion, possibleInputs, type Region, replaceable } from './region.js';
import { Shapes } from './shapes.js';
import type { NearMiss, Reading, Structure } from './structure.js';
import type { FloatFactorType } from '../types.js';

/** A factorized layer: the nodes that one operator replaces, the first product first, and where its factors are. */
export interface Recognition extends Fusion {
  readonly structure: Structure;
  /** The narrowest type that holds all factors exactly. */
  readonly factorType: FloatFactorType;
  /** Equal where the same stored numbers are used the same way. */
  readonly key: string;
  /** What is run to check the factors: the layer before its activation. */
  readonly checked: Omit<ExcerptRequest, 'input' | 'dtype'>;
}

export interface Recognitions {
  readonly layers: readonly Recognition[];
  /** By the product that a factorized layer would begin with. */
  readonly nearMisses: ReadonlyMap<Node, NearMiss>;
}

export function recognise(graph: Graph, opset: number): Recognitions {
  const layers: Recognition[] = [];
  const nearMisses = new Map<Node, NearMiss>();
  const taken = new Set<Node>();
  const explained = new Set<Node>();
  const shapes = new Shapes(graph);
  const constants = new Interpreter(graph, shapes);
  for (const node of graph.nodes) {
    const seed = taken.has(node) ? undefined : seedOf(node, constants);
    if (seed === undefined) continue;
    const chain = chainBehind(graph, seed, constants);
    if (chain === undefined) {
      const miss = interrupted(graph, seed, constants);
      if (miss !== undefined) nearMisses.set(node, miss);
      continue;
    }
    const result = recogniseAt({ graph, shapes, opset, taken }, seed);
    if (result === undefined) continue;
    if ('structure' in result) {
      layers.push(result);
      result.nodes.forEach((each) => taken.add(each));
    } else {
      // The products behind it would only say so again.
      if (!explained.has(node)) nearMisses.set(node, result);
      chain.forEach((each) => explained.add(each));
    }
  }
  return { layers, nearMisses };
}

interface Place {
  readonly graph: Graph;
  readonly shapes: Shapes;
  readonly opset: number;
  /** Nodes of layers that were recognised before. */
  readonly taken: ReadonlySet<Node>;
}

function recogniseAt(place: Place, seed: Seed): Recognition | NearMiss | undefined {
  const inputs = possibleInputs(place.graph, seed.entering, place.taken);
  const regions = inputs.flatMap((input) => growRegion(place.graph, place.shapes, input, seed.node) ?? []);
  for (const region of regions) {
    const whole = findIn(region, seed.node).found.filter(
      ({ readElsewhere, nodes }) =>
        readElsewhere === undefined && !nodes.some((node) => place.taken.has(node)),
    );
    for (const found of whole.sort((a, b) => b.nodes.length - a.nodes.length)) {
      const layer = describe(place, region, found, seed.node);
      if (layer !== undefined) return layer;
    }
  }
  return explain(seed, regions);
}

/** Undefined where the types are not the operators'. */
function describe(place: Place, region: Region, found: Found, seed: Node): Recognition | undefined {
  const { structure, output } = found;
  const dtype = multipliedType(structure);
  const factorType = dtype && exactType(structure, dtype, place.opset);
  if (dtype === undefined || factorType === undefined) return undefined;
  const others = replaceable(region, found).filter((node) => node !== seed);
  const bias = biasOf(structure, dtype);
  return fuseActivation({
    graph: place.graph,
    nodes: [seed, ...others],
    input: region.input,
    output,
    dtype,
    ...(bias && { bias }),
    activation: 'none',
    structure,
    factorType,
    key: keyOf(structure),
    checked: {
      graph: place.graph,
      shapes: place.shapes,
      opset: place.opset,
      values: region.forms,
      sizes: region.sizes,
      output,
    },
  });
}

function keyOf({ spec, parts, interleaved }: Structure): string {
  const reading = ({ tensor, axes, order }: Reading) => {
    const stored = axes.flat();
    return [
      tensor.graph.place,
      tensor.name,
      tensor.exactType,
      order.map((index) => stored.indexOf(index)),
      stored.map(({ size }) => size.n),
    ];
  };
  return JSON.stringify([
    spec,
    interleaved,
    parts.map(({ coefficient, V, S, U }) => [coefficient, ...[V, S, U].map((part) => part && reading(part))]),
  ]);
}
