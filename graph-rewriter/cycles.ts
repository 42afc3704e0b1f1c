// Nodes that wait for themselves. The order in which they are listed does not matter.
import type { Graph } from './graph.js';
import type { Node } from './node.js';

/** Runs nodes whose inputs are known, in turn (Kahn's algorithm); returns one that is left, in a cycle or behind one. */
export function nodeInCycle(graph: Graph): Node | undefined {
  const readers = (name: string) => graph.readers(name).filter((node) => graph.reads(node, name));
  const waiting = new Map<Node, number>();
  for (const name of graph.made)
    for (const node of readers(name)) waiting.set(node, (waiting.get(node) ?? 0) + 1);
  const ready = graph.nodes.filter((node) => !waiting.has(node));
  for (const { outputs } of ready)
    for (const reader of outputs.flatMap((name) => (name === '' ? [] : readers(name)))) {
      const left = waiting.get(reader)! - 1;
      waiting.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  return graph.nodes.find((node) => (waiting.get(node) ?? 0) > 0);
}
