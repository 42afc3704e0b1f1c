// product → elementwise nodes → y  becomes one node when the elementwise part is a known activation.
//
// Exporters write GELU and SiLU as five to ten nodes in many orders. Instead of a pattern for each order, the nodes
// between the product and the next single value are evaluated at sample points and compared with the known functions.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Match } from '../rule.js';
import type { Activation } from '../types.js';
import { formula, gelu, geluTanh, relu, scalar, silu } from './elementwise.js';

const KNOWN: readonly (readonly [Activation, (v: number) => number])[] = [
  ['relu', relu],
  ['gelu', gelu],
  ['gelu_tanh', geluTanh],
  ['silu', silu],
];

/** The longest form seen in exports has 9 nodes. */
const MAX_NODES = 12;
const SAMPLES = Array.from({ length: 129 }, (_, i) => (i - 64) / 8);
/** Of max(1, |v|). The two GELUs differ by 1.8e-4 of that; rounded constants move a value by up to 4e-5 in float16, 2.9e-4 in bfloat16. */
const TOLERANCE: Readonly<Record<string, number>> = { float32: 2e-5, float16: 1e-4, bfloat16: 5e-4 };

export function fuseActivation(match: Match): Match {
  const region: Node[] = [];
  for (;;) {
    const next = region.length < MAX_NODES ? nextNode(match.graph, match.output, region) : undefined;
    if (next === undefined) return match;
    region.push(next);
    const output = soleOutput(match.graph, match.output, region);
    const activation = output === undefined ? undefined : recognise(match, region, output);
    if (output !== undefined && activation !== undefined)
      return { ...match, nodes: [...match.nodes, ...region], output, activation };
  }
}

/** The first node, in graph order, that is a formula of the product, of nodes of the region, and of scalars. */
function nextNode(graph: Graph, product: string, region: readonly Node[]): Node | undefined {
  const known = [product, ...region.map((node) => node.outputs[0])];
  const candidates = known.flatMap((name) => graph.readers(name)).filter((node) => !region.includes(node));
  const usable = candidates.filter(
    (node) =>
      formula(node) !== undefined &&
      node.outputs.length === 1 &&
      node.outputs[0] !== '' &&
      node.inputs.every((name) => known.includes(name) || scalar(graph, name) !== undefined),
  );
  return usable.sort((a, b) => a.index - b.index)[0];
}

/** The region's one value that is read outside of it, where all others and the product are read inside only. */
function soleOutput(graph: Graph, product: string, region: readonly Node[]): string | undefined {
  const names = [product, ...region.map((node) => node.outputs[0])];
  const outside = names.filter(
    (name) => graph.outputs.has(name) || graph.readers(name).some((node) => !region.includes(node)),
  );
  return outside.length === 1 && outside[0] === region.at(-1)!.outputs[0] ? outside[0] : undefined;
}

/** The nearest known function, where it is near enough. */
function recognise(match: Match, region: readonly Node[], output: string): Activation | undefined {
  const compute = compile(match.graph, match.output, region, output);
  const computed = SAMPLES.map(compute);
  const distances = KNOWN.map(([activation, known]) => {
    const errors = SAMPLES.map((v, i) => Math.abs(computed[i] - known(v)) / Math.max(1, Math.abs(v)));
    return { activation, distance: Math.max(...errors) };
  });
  const nearest = distances.reduce((a, b) => (b.distance < a.distance ? b : a));
  return nearest.distance <= TOLERANCE[match.weight.dtype] ? nearest.activation : undefined;
}

/** The region as a function of the product, its constants read once. */
function compile(
  graph: Graph,
  product: string,
  region: readonly Node[],
  output: string,
): (v: number) => number {
  const names = new Set([product, ...region.map((node) => node.outputs[0])]);
  const steps = region.map((node) => ({
    compute: formula(node)!,
    operands: node.inputs.map((name) => (names.has(name) ? name : scalar(graph, name)!)),
    result: node.outputs[0],
  }));
  return (v) => {
    const values = new Map([[product, v]]);
    for (const { compute, operands, result } of steps)
      values.set(result, compute(...operands.map((o) => (typeof o === 'number' ? o : values.get(o)!))));
    return values.get(output)!;
  };
}
