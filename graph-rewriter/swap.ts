// Replaces nodes of a graph and its bodies by others and drops the constants that only they read.
import type { onnx } from 'onnx-proto';
import { isStep } from './constants.js';
import { nodeField } from './encode.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { ANNOTATION, GRAPH, VALUE_INFO } from './schema.js';
import type { Edit } from './wire/edit.js';
import type { Message } from './wire/message.js';

/** The new nodes take the place, in the list, of the last old one; the first old one hands on its documentation and metadata to `main`. */
export interface Swap {
  readonly graph: Graph;
  readonly old: readonly [Node, ...Node[]];
  readonly replacements: readonly onnx.INodeProto[];
  /** Position of the new node that stands for the first old one; 0 where absent. */
  readonly main?: number;
}

/** A value by where it is defined. */
interface Value {
  readonly graph: Graph;
  readonly name: string;
}

/** Writes all swaps into the edit. Returns what is no longer there: nodes and initializers. */
export function swapNodes(edit: Edit, swaps: readonly Swap[]): Set<Message> {
  const removed = new Map(swaps.flatMap((swap) => swap.old.map((node) => [node, swap.graph] as const)));
  const unused = sweep(removed, readBy(swaps));
  const gone = [...removed].map(([node]) => node.message);
  dropNotes(edit, swaps, removed, unused);
  for (const swap of swaps) {
    const last = lastOf(swap);
    removed.delete(last);
    const fields = swap.replacements.flatMap((node, i) =>
      nodeField(node, i === (swap.main ?? 0) ? swap.old[0].message : undefined),
    );
    edit.replace(swap.graph.message, last.message.span!, fields);
  }
  for (const [node, graph] of removed) edit.remove(graph.message, node.message.span!);
  const tensors = unused.map(({ graph, name }) => graph.initializers.get(name)!.message);
  unused.forEach(({ graph }, i) => edit.remove(graph.message, tensors[i].span!));
  return new Set([...gone, ...tensors]);
}

function lastOf({ old }: Swap): Node {
  return old.reduce((a, b) => (b.index > a.index ? b : a));
}

/** The values that the new nodes read. */
function readBy(swaps: readonly Swap[]): (value: Value) => boolean {
  const read = new Map<Graph, Set<string>>();
  for (const { graph, replacements } of swaps)
    for (const name of replacements.flatMap((node) => node.input ?? [])) {
      const home = graph.definerOf(name);
      read.set(home, (read.get(home) ?? new Set()).add(name));
    }
  return ({ graph, name }) => read.get(graph)?.has(name) ?? false;
}

/** Adds to `removed` the Constant nodes, and those between constants and products, whose readers are all removed; returns the initializers without readers. */
function sweep(removed: Map<Node, Graph>, isRead: (value: Value) => boolean): Value[] {
  const unused = new Map<Message, Value>();
  const inputs = (node: Node, graph: Graph) =>
    node.inputs.map((name): Value => ({ graph: graph.definerOf(name), name }));
  const pending = [...removed].flatMap(([node, graph]) => inputs(node, graph));
  for (const value of pending) {
    const { graph, name } = value;
    if (isRead(value) || graph.isOutput(name) || graph.inputs.has(name)) continue;
    if (graph.annotated.has(name)) continue;
    if (graph.uses(name).some(({ node }) => !removed.has(node))) continue;
    const initializer = graph.initializers.get(name);
    if (initializer !== undefined) unused.set(initializer.message, value);
    const producer = graph.producer(name);
    if (producer === undefined || removed.has(producer)) continue;
    if (!producer.is('Constant') && !isStep(producer)) continue;
    removed.set(producer, graph);
    pending.push(...inputs(producer, graph));
  }
  return [...unused.values()];
}

/** Notes on types and quantization of values that no longer exist. */
function dropNotes(
  edit: Edit,
  swaps: readonly Swap[],
  removed: ReadonlyMap<Node, Graph>,
  unused: readonly Value[],
): void {
  const gone = new Map<Graph, Set<string>>();
  const add = (graph: Graph, name: string) => gone.set(graph, (gone.get(graph) ?? new Set()).add(name));
  for (const [node, graph] of removed) node.outputs.forEach((name) => add(graph, name));
  for (const { graph, name } of unused) add(graph, name);
  for (const { graph, replacements } of swaps)
    for (const name of replacements.flatMap((node) => node.output ?? [])) gone.get(graph)?.delete(name);
  for (const [{ message }, names] of gone)
    for (const [field, name] of [
      [GRAPH.valueInfo, VALUE_INFO.name],
      [GRAPH.quantizationAnnotation, ANNOTATION.tensor],
    ] as const)
      for (const note of message.messages(field))
        if (names.has(note.string(name))) edit.remove(message, note.span!);
}
