// Layers of a graph that are low rank, BLAST or Monarch already, and products that come near it.
import type { ExcerptRequest } from './excerpt.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Fusion } from '../rule.js';
import { fuseActivation } from '../rules/activation.js';
import { biasOf } from './bias.js';
import { explain } from './near-miss.js';
import { exactType, multipliedType } from './factor-type.js';
import { Interpreter } from './interpret.js';
import { type Found, findIn, growRegion, possibleInputs, type Region, replaceable } from './region.js';
import { Shapes } from './shapes.js';
import { isKnown } from './size.js';
import type { NearMiss, Reading, Structure } from './structure.js';
import type { FactorType } from '../types.js';

/** A factorized layer: the nodes that one operator replaces, the first product first, and where its factors are. */
export interface Recognition extends Fusion {
  readonly structure: Structure;
  /** The narrowest type that holds all factors exactly. */
  readonly factorType: FactorType;
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
    const entering = taken.has(node) ? undefined : operandOfProduct(node, constants);
    if (entering === undefined) continue;
    const result = recogniseAt({ graph, shapes, opset }, node, entering);
    if (result === undefined) continue;
    if ('miss' in result) {
      // The products behind it would only say so again.
      if (!explained.has(node) && !node.is('Mul')) nearMisses.set(node, result.miss);
      result.nodes.forEach((each) => explained.add(each));
    } else {
      layers.push(result.layer);
      result.found.nodes.forEach((each) => taken.add(each));
    }
  }
  return { layers, nearMisses };
}

const PRODUCTS = new Set(['MatMul', 'Gemm', 'Einsum', 'Mul']);

/** What a product multiplies by a constant of two axes or more; undefined for other nodes. */
function operandOfProduct(node: Node, constants: Interpreter): string | undefined {
  if (!PRODUCTS.has(node.opType) || !node.is(node.opType)) return undefined;
  const [a, b] = node.inputs.map((name) => isWide(constants, name));
  return a === b ? undefined : node.inputs[a ? 1 : 0];
}

function isWide(constants: Interpreter, name: string): boolean {
  const axes = constants.constant(name)?.axes ?? [];
  return axes.flat().filter(({ size }) => isKnown(size)).length > 1;
}

interface Place {
  readonly graph: Graph;
  readonly shapes: Shapes;
  readonly opset: number;
}

function recogniseAt(
  { graph, shapes, opset }: Place,
  seed: Node,
  entering: string,
): { layer: Recognition; found: Found } | { miss: NearMiss; nodes: readonly Node[] } | undefined {
  const inputs = possibleInputs(graph, entering);
  const regions = inputs.flatMap((input) => growRegion(graph, shapes, input, seed) ?? []);
  for (const region of regions) {
    const whole = findIn(region, seed).found.filter(({ readElsewhere }) => readElsewhere === undefined);
    const largest = whole.sort((a, b) => b.nodes.length - a.nodes.length)[0];
    const layer = largest && describe({ graph, shapes, opset }, region, largest, seed);
    if (layer !== undefined) return { layer, found: largest };
  }
  const miss = explain(graph, seed, regions);
  return miss && { miss, nodes: regions.flatMap(({ nodes, stops }) => [...nodes, ...stops]) };
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
    checked: { ...place, values: region.forms, sizes: region.sizes, output },
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
