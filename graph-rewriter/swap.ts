// Replaces nodes of a graph by others and drops the constants that only they read.
import type { onnx } from 'onnx-proto';
import { isStep } from './constants.js';
import { nodeField } from './encode.js';
import type { Graph } from './graph.js';
import type { Node } from './node.js';
import { GRAPH, VALUE_INFO } from './schema.js';
import type { Edit } from './wire/edit.js';
import type { Message } from './wire/message.js';

/** The new nodes take the place, in the list, of the last old one; the first old one hands on its name and metadata. */
export interface Swap {
  readonly old: readonly [Node, ...Node[]];
  readonly replacements: readonly onnx.INodeProto[];
}

/** Writes all swaps of one graph into the edit. Returns what is no longer there: nodes and initializers. */
export function swapNodes(edit: Edit, graph: Graph, swaps: readonly Swap[]): Set<Message> {
  const removed = new Set(swaps.flatMap((swap) => swap.old));
  const read = new Set(swaps.flatMap((swap) => swap.replacements.flatMap((node) => node.input ?? [])));
  const unused = sweep(graph, removed, read);
  for (const swap of swaps) {
    const last = lastOf(swap);
    removed.delete(last);
    const fields = swap.replacements.flatMap((node, i) =>
      nodeField(node, i === 0 ? swap.old[0].message : undefined),
    );
    edit.replace(graph.message, last.message.span!, fields);
  }
  for (const node of removed) edit.remove(graph.message, node.message.span!);
  for (const name of unused) edit.remove(graph.message, graph.initializers.get(name)!.message.span!);
  dropValueInfo(edit, graph, removed, swaps, unused);
  return new Set([
    ...[...removed, ...swaps.flatMap((swap) => swap.old)].map((node) => node.message),
    ...[...unused].map((name) => graph.initializers.get(name)!.message),
  ]);
}

function lastOf({ old }: Swap): Node {
  return old.reduce((a, b) => (b.index > a.index ? b : a));
}

/** Adds to `removed` the Constant nodes, and those between constants and products, whose readers are all removed; returns the initializers without readers. */
function sweep(graph: Graph, removed: Set<Node>, read: ReadonlySet<string>): Set<string> {
  const unused = new Set<string>();
  const pending = [...removed].flatMap((node) => node.inputs);
  for (const name of pending) {
    const isRead = read.has(name) || graph.outputs.has(name) || graph.inputs.has(name);
    if (isRead || graph.readers(name).some((reader) => !removed.has(reader))) continue;
    if (graph.initializers.has(name)) unused.add(name);
    const producer = graph.producer(name);
    if (producer === undefined || removed.has(producer)) continue;
    if (!producer.is('Constant') && !isStep(producer)) continue;
    removed.add(producer);
    pending.push(...producer.inputs);
  }
  return unused;
}

/** Type notes on values that no longer exist. */
function dropValueInfo(
  edit: Edit,
  graph: Graph,
  removed: ReadonlySet<Node>,
  swaps: readonly Swap[],
  unused: ReadonlySet<string>,
): void {
  const kept = new Set(swaps.flatMap((swap) => swap.replacements.flatMap((node) => node.output ?? [])));
  const old = [...removed, ...swaps.flatMap((swap) => swap.old)];
  const gone = new Set(old.flatMap((node) => node.outputs).filter((name) => !kept.has(name)));
  for (const info of graph.message.messages(GRAPH.valueInfo)) {
    const name = info.string(VALUE_INFO.name);
    if (gone.has(name) || unused.has(name)) edit.remove(graph.message, info.span!);
  }
}
