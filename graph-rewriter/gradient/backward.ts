/**
 * Reverse-mode differentiation of a graph as further nodes: from the gradients of chosen values (seeds) to the gradients of
 * chosen values before them (targets). One pass against the graph's order; contributions to a value are summed
 * (Griewank & Walther, Evaluating Derivatives, chapter 3).
 */
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { GradientBuilder, type Value } from './builder.js';
import type { Step } from './rule.js';
import { isFlat, ruleFor } from './rules/index.js';

/** The nodes between targets and outputs. */
export interface Paths {
  /** Values that depend on a target and that an output depends on. */
  readonly values: ReadonlySet<Value>;
  /** Nodes on the way that cannot be differentiated. */
  readonly blocked: readonly Node[];
  /** What enters those: gradients start there. */
  readonly ends: readonly Value[];
}

export function findPaths(
  graph: Graph,
  opset: number,
  targets: Iterable<Value>,
  outputs: Iterable<Value>,
): Paths {
  const moving = dependents(graph, targets);
  const values = new Set<Value>();
  const wanted = new Set(outputs);
  const blocked: Node[] = [];
  const ends = new Set<Value>();
  for (const node of [...graph.nodes].reverse()) {
    if (isFlat(node) || !node.outputs.some((name) => wanted.has(name))) continue;
    const inputs = read(graph, node).filter((name) => moving.has(name));
    inputs.forEach((name) => wanted.add(name));
    const open = new Set(node.inputs.filter((_, i) => hasGradient(graph, node, i, opset)));
    const closed = inputs.filter((name) => !open.has(name));
    if (closed.length > 0) blocked.unshift(node);
    closed.forEach((name) => ends.add(name));
  }
  for (const name of moving) if (wanted.has(name)) values.add(name);
  return { values, blocked, ends: [...ends] };
}

/** The targets and all that is computed from them. */
function dependents(graph: Graph, targets: Iterable<Value>): Set<Value> {
  const moving = new Set(targets);
  for (const node of graph.nodes)
    if (!isFlat(node) && read(graph, node).some((name) => moving.has(name)))
      node.outputs.forEach((name) => moving.add(name));
  moving.delete('');
  return moving;
}

/** Asked before any node is built: rules build when the gradient of an input is wanted. */
function hasGradient(graph: Graph, node: Node, input: number, opset: number): boolean {
  const b = new GradientBuilder(opset);
  return ruleFor(node)?.(stepOf(graph, node, b, ['']))[input] !== undefined;
}

function stepOf(graph: Graph, node: Node, b: GradientBuilder, gradients: Step['gradients']): Step {
  const g = gradients.find((gradient) => gradient !== undefined)!;
  return { node, graph, b, gradients, g, x: node.inputs[0], y: node.outputs[0] };
}

/** A node's inputs and what its bodies capture. */
function read(graph: Graph, node: Node): string[] {
  const captured = graph.bodies(node).flatMap((body) => body.nodes.flatMap(({ inputs }) => inputs));
  return [...node.inputs, ...captured];
}

/** The gradient of each value on the paths that has one; `seeds` may name several for one value. */
export function differentiate(
  graph: Graph,
  b: GradientBuilder,
  paths: Paths,
  seeds: Iterable<readonly [Value, Value]>,
): Map<Value, Value> {
  const gradients = new Gradients(b);
  for (const [value, seed] of seeds) gradients.add(value, seed);
  for (const node of [...graph.nodes].reverse()) {
    const ofOutputs = node.outputs.map((name) => gradients.of(name));
    // Only Split has outputs beside the first that carry a gradient.
    const first = node.is('Split') ? ofOutputs.find((g) => g !== undefined) : ofOutputs[0];
    if (isFlat(node) || first === undefined) continue;
    ruleFor(node)?.(stepOf(graph, node, b, ofOutputs)).forEach((of, i) => {
      const name = node.inputs[i] ?? '';
      if (of !== undefined && paths.values.has(name)) gradients.add(name, of());
    });
  }
  return gradients.all();
}

class Gradients {
  private readonly parts = new Map<Value, Value[]>();

  constructor(private readonly b: GradientBuilder) {}

  add(value: Value, gradient: Value): void {
    const parts = this.parts.get(value);
    if (parts === undefined) this.parts.set(value, [gradient]);
    else parts.push(gradient);
  }

  of(value: Value): Value | undefined {
    const parts = this.parts.get(value);
    if (parts === undefined || value === '') return undefined;
    if (parts.length > 1) parts.splice(0, parts.length, this.b.op('Sum', parts));
    return parts[0];
  }

  all(): Map<Value, Value> {
    return new Map([...this.parts.keys()].map((value) => [value, this.of(value)!]));
  }
}
