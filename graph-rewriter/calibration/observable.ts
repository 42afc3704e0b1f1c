// Which tensors of a model a tap can observe.
import type { Graph } from '../graph.js';

export interface Observable {
  /** Inputs of the main graph and what its nodes make. */
  readonly graph: ReadonlySet<string>;
  /** The same of the bodies of If, Loop and Scan, which cannot be observed from outside. */
  readonly bodies: ReadonlySet<string>;
}

export function observableTensors(graph: Graph): Observable {
  const bodies = new Set<string>();
  addBodies(graph, bodies);
  return { graph: namesOf(graph), bodies };
}

function namesOf(graph: Graph): Set<string> {
  return new Set([...graph.inputs, ...graph.nodes.flatMap((node) => node.outputs)]);
}

function addBodies(graph: Graph, names: Set<string>): void {
  for (const node of graph.nodes)
    for (const body of graph.bodies(node)) {
      for (const name of namesOf(body)) names.add(name);
      addBodies(body, names);
    }
}
