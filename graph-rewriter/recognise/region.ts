// The nodes that compute values linear in x, and which of them one operator can replace.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { axisSize, type Form, inputForm, isConstant } from './form.js';
import { Interpreter, PLUMBING } from './interpret.js';
import { isShapeStep } from './shape-values.js';
import type { Shapes } from './shapes.js';
import { size, type Size } from './size.js';
import { type NearMiss, type Structure, structureOf } from './structure.js';

/** The longest form seen in exports, Monarch with computed shapes, has 12 that are followed. */
const MAX_NODES = 64;
const MAX_PLUMBING = 6;

/** Everything reachable from x that is linear in it. */
export interface Region {
  readonly graph: Graph;
  readonly input: string;
  readonly sizes: readonly Size[];
  /** By the name of each value, x first. */
  readonly forms: ReadonlyMap<string, Form>;
  readonly nodes: readonly Node[];
  /** Readers of the region's values that are not linear, or not followed. */
  readonly stops: readonly Node[];
}

/** A value of a region that is an operator's, and the nodes that compute it from x. */
export interface Found {
  readonly structure: Structure;
  readonly output: string;
  readonly nodes: readonly Node[];
  /** A value between that something else needs too. */
  readonly readElsewhere?: { readonly name: string; readonly reader: string };
}

/** Values that may be the layer's x: the one that enters the product, or what it was before it was cut into blocks. The farthest comes first. */
export function possibleInputs(graph: Graph, entering: string, taken: ReadonlySet<Node>): string[] {
  const names = [entering];
  for (let i = 0; i < MAX_PLUMBING; i++) {
    const producer = graph.producer(names[0]);
    if (
      producer === undefined ||
      taken.has(producer) ||
      !PLUMBING.has(producer.opType) ||
      !producer.is(producer.opType)
    )
      break;
    names.unshift(producer.inputs[0]);
  }
  return names;
}

/** Undefined where the sizes of x are not known. */
export function growRegion(graph: Graph, shapes: Shapes, input: string, seed: Node): Region | undefined {
  const interpreter = new Interpreter(graph, shapes);
  const start = startForm(interpreter, shapes, input, seed);
  if (start === undefined) return undefined;
  interpreter.forms.set(input, start.form);
  const pending = new Set(graph.readers(input));
  const nodes: Node[] = [];
  const stops: Node[] = [];
  while (pending.size > 0 && nodes.length < MAX_NODES) {
    const node = [...pending].reduce((a, b) => (b.index < a.index ? b : a));
    pending.delete(node);
    const form = !start.isOpen || keepsLeading(node, interpreter) ? interpreter.evaluate(node) : undefined;
    const [output] = node.outputs;
    if (form === undefined || isConstant(form)) {
      stops.push(node);
      continue;
    }
    interpreter.forms.set(output, form);
    nodes.push(node);
    graph.readers(output).forEach((reader) => pending.add(reader));
  }
  return { graph, input, sizes: start.form.axes.map(axisSize), forms: interpreter.forms, nodes, stops };
}

/** Where the model does not say how many axes x has, all but the last are taken as one that no node may touch. */
function startForm(
  interpreter: Interpreter,
  shapes: Shapes,
  input: string,
  seed: Node,
): { form: Form; isOpen: boolean } | undefined {
  const sizes = shapes.dims(input);
  const inner = seed.inputs[0] === input ? innerSize(interpreter, seed) : undefined;
  if (sizes !== undefined)
    return { form: inputForm(inner ? [...sizes.slice(0, -1), inner] : sizes), isOpen: false };
  return inner && { form: inputForm([size(1, `leading axes of ${input}`), inner]), isOpen: true };
}

/** The features that a product by a matrix takes. */
function innerSize(interpreter: Interpreter, node: Node): Size | undefined {
  const dims = interpreter.constant(node.inputs[1] ?? '')?.axes;
  if (dims?.length !== 2 || !(node.is('MatMul') || (node.is('Gemm') && node.int('transA', 0) === 0)))
    return undefined;
  const axis = dims[node.is('Gemm') && node.int('transB', 0) !== 0 ? 1 : 0];
  return axis.length === 1 ? axis[0].size : undefined;
}

/** Products by a matrix on the right, and what is added or multiplied along the last axis. */
function keepsLeading(node: Node, interpreter: Interpreter): boolean {
  if (!['MatMul', 'Gemm', 'Add', 'Mul', 'Div', 'Identity'].includes(node.opType)) return false;
  const ranks = node.inputs.map((name) =>
    interpreter.forms.has(name) ? undefined : (interpreter.constant(name)?.axes.length ?? 9),
  );
  if (node.is('MatMul')) return ranks[0] === undefined && ranks[1] === 2;
  return node.is('Gemm') || ranks.every((rank) => rank === undefined || rank <= 1);
}

/** Every value of the region that is an operator's and that the seed is part of, and the near misses among the others. */
export function findIn(region: Region, seed: Node): { found: Found[]; misses: NearMiss[] } {
  const found: Found[] = [];
  const misses: NearMiss[] = [];
  for (const node of region.nodes) {
    const structure = structureOf(region.forms.get(node.outputs[0])!);
    if (structure === undefined) continue;
    if ('code' in structure) misses.push(structure);
    else {
      const nodes = slice(region, node);
      const readElsewhere = otherReader(region, nodes, node.outputs[0]);
      if (nodes.includes(seed))
        found.push({ structure, output: node.outputs[0], nodes, ...(readElsewhere && { readElsewhere }) });
    }
  }
  return { found, misses };
}

/** What computes the node's output from x, in graph order. */
function slice(region: Region, last: Node): Node[] {
  const nodes = new Set([last]);
  for (const node of nodes)
    for (const name of node.inputs) {
      const producer = name === region.input ? undefined : region.graph.producer(name);
      if (producer !== undefined && region.forms.has(name)) nodes.add(producer);
    }
  return [...nodes].sort((a, b) => a.index - b.index);
}

/** Computed shapes that only these nodes read belong to them. */
function withShapes({ graph, input }: Region, nodes: readonly Node[]): Set<Node> {
  const all = new Set(nodes);
  for (const node of all)
    for (const name of node.inputs) {
      const producer = name === input ? undefined : graph.producer(name);
      if (producer === undefined || !isShapeStep(producer) || graph.isOutput(name)) continue;
      if (graph.readers(name).every((reader) => all.has(reader))) all.add(producer);
    }
  return all;
}

function otherReader(region: Region, nodes: readonly Node[], output: string): Found['readElsewhere'] {
  const { graph, forms } = region;
  const own = withShapes(region, nodes);
  for (const node of nodes) {
    const [name] = node.outputs;
    // x cut into blocks may be read by others: the cutting stays for them then. A product may not.
    if (name === output || isMovedInput(forms.get(name)!)) continue;
    if (graph.isOutput(name)) return { name, reader: 'the outputs of the graph' };
    const reader = graph.readers(name).find((each) => !own.has(each));
    if (reader !== undefined) return { name, reader: reader.label };
  }
  return undefined;
}

/** What an operator replaces: the nodes, with their computed shapes, that nothing else needs. In graph order. */
export function replaceable(region: Region, { nodes, output }: Found): Node[] {
  const { graph, forms } = region;
  const gone = withShapes(region, nodes);
  const isNeeded = (node: Node) =>
    node.outputs[0] !== output &&
    (graph.isOutput(node.outputs[0]) || graph.readers(node.outputs[0]).some((reader) => !gone.has(reader)));
  for (const node of [...nodes].reverse())
    if (isMovedInput(forms.get(node.outputs[0])!) && isNeeded(node)) gone.delete(node);
  for (const node of [...gone]) if (!nodes.includes(node) && isNeeded(node)) gone.delete(node);
  return [...gone].sort((a, b) => a.index - b.index);
}

function isMovedInput({ terms }: Form): boolean {
  return terms.every(({ factors, input, coefficient }) => input && factors.length === 0 && coefficient === 1);
}
