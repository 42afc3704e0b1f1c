// A weight that something else reads too cannot be dropped: rewriting would only add to the file.
import { type Constant, isStep } from '../constants.js';
import type { Graph } from '../graph.js';
import { isRefusal, type Match, type Refusal, refuse } from '../rule.js';

/** Refuses matches whose weight has a reader that is no match itself; repeated, since each refusal makes a reader. */
export function refuseTied(results: readonly (Match | Refusal)[]): (Match | Refusal)[] {
  let current = [...results];
  for (;;) {
    const products = new Set(current.filter((r): r is Match => !isRefusal(r)).map((match) => match.nodes[0]));
    const next = current.map((result) => {
      const reader = isRefusal(result) ? undefined : otherReader(result.weight, products);
      return reader === undefined ? result : tied(result, reader);
    });
    if (next.every((result, i) => result === current[i])) return current;
    current = next;
  }
}

function tied(result: Match | Refusal, reader: string): Refusal {
  const { weight } = result;
  return refuse('weight-tied', `'${weight!.name}' is also read by ${reader}, which needs it dense.`, weight);
}

/** What else reads the stored weight, or a copy of it on the way to the product. */
function otherReader(weight: Constant, products: ReadonlySet<unknown>): string | undefined {
  const pending: { graph: Graph; name: string }[] = [weight];
  for (const { graph, name } of pending) {
    if (graph.isOutput(name)) return 'the outputs of the graph';
    for (const use of graph.uses(name)) {
      if (products.has(use.node)) continue;
      if (!isStep(use.node) || use.node.inputs[0] !== name) return use.node.label;
      pending.push({ graph: use.graph, name: use.node.outputs[0] });
    }
  }
  return undefined;
}
