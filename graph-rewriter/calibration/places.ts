// Where the tensors that enter layers can be observed.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { isPassable } from './carry.js';

/** The graph at a place, `''` being the model's. */
export function graphAt(root: Graph, place: string): Graph | undefined {
  return root.within().find((graph) => graph.place === place);
}

/** The graph sees a value of this name that is no constant: its own or captured. */
export function seesValue(graph: Graph, name: string): boolean {
  const definer = graph.definerOf(name);
  return definer.inputs.has(name) || definer.producer(name) !== undefined;
}

/** The node around the graph that lets no sums out of its bodies; undefined where all do. */
export function barrier(graph: Graph, opset: number): Node | undefined {
  const { outer } = graph;
  if (outer === undefined) return undefined;
  const around = outer.nodes.find((node) => outer.bodies(node).includes(graph))!;
  return isPassable(around, opset) ? barrier(outer, opset) : around;
}
