// A weight that something else reads too cannot be dropped: rewriting would only add to the file.
import { type Constant, isStep } from '../constants.js';
import type { Graph } from '../graph.js';
import { isRefusal, type Match, type Refusal } from '../rule.js';

/** Marks matches whose weight has a reader that is no match itself; repeated, since each mark makes a reader. */
export function markTied(
  results: readonly (Match | Refusal)[],
  inTraining: ReadonlySet<string>,
): (Match | Refusal)[] {
  let current = [...results];
  for (;;) {
    const free = current.filter((r): r is Match => !isRefusal(r) && r.tied === undefined);
    const products = new Set(free.map((match) => match.nodes[0]));
    const next = current.map((result) => {
      if (isRefusal(result) || result.tied !== undefined) return result;
      const reader = otherReader(result.weight, products, inTraining);
      return reader === undefined ? result : tied(result, reader);
    });
    if (next.every((result, i) => result === current[i])) return current;
    current = next;
  }
}

function tied(match: Match, reader: string): Match {
  const message = `'${match.weight.name}' is also read by ${reader}, which needs it dense: factors would add to the model. --split-tied gives the product factors of its own.`;
  return { ...match, tied: { code: 'weight-tied', message } };
}

/** What else reads the stored weight, or a copy of it on the way to the product. */
function otherReader(
  weight: Constant,
  products: ReadonlySet<unknown>,
  inTraining: ReadonlySet<string>,
): string | undefined {
  if (weight.graph.outer === undefined && inTraining.has(weight.name))
    return "the model's training information";
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
