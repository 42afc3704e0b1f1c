// New names for values that no graph of the model uses yet.
import type { Graph } from './graph.js';

export class Names {
  private readonly taken = new Set<string>();

  constructor(graph: Graph) {
    this.collect(graph);
  }

  /** `wanted`, or with the first number that makes it new. */
  unique(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.taken.has(name); i++) name = `${wanted}.${i}`;
    this.taken.add(name);
    return name;
  }

  private collect(graph: Graph): void {
    const add = (names: Iterable<string>) => {
      for (const name of names) this.taken.add(name);
    };
    add(graph.inputs);
    add(graph.outputs);
    add(graph.initializers.keys());
    for (const node of graph.nodes) {
      add(node.inputs);
      add(node.outputs);
      graph.bodies(node).forEach((body) => this.collect(body));
    }
  }
}
