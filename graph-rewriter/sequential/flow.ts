// Which values a node reads, and which values are known before the model runs.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';

/** Run twice, these give two results. */
const RANDOM = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
]);

/** Values of the node's own graph: its inputs, and what its bodies capture. */
export function valuesRead(graph: Graph, node: Node): string[] {
  const captured = graph.bodies(node).flatMap((body) => {
    const names = [...body.nodes.flatMap((inner) => valuesRead(body, inner)), ...body.outputs];
    return names.filter((name) => body.definerOf(name) !== body);
  });
  return [...new Set([...node.inputs.filter((name) => name !== ''), ...captured])];
}

/** The nodes whose outputs do not depend on the graph's inputs: folded Transposes of weights, shapes, masks. */
export function constantNodes(graph: Graph): Set<Node> {
  const constant = new Set<Node>();
  for (const node of graph.nodes) {
    const reads = valuesRead(graph, node);
    const isKnown = (name: string) => {
      const producer = graph.producer(name);
      return producer === undefined ? !graph.inputs.has(name) : constant.has(producer);
    };
    if (node.is('Constant') || (reads.length > 0 && !RANDOM.has(node.opType) && reads.every(isKnown)))
      constant.add(node);
  }
  return constant;
}
