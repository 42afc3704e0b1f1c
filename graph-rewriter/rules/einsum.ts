// Einsum of a computed operand and a constant one, where that is a plain matrix product: 'btd,dhk->bthk', '...i,io->...o', 'mk,bkn->bmn'.
import { findConstant } from '../constants.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { type Match, type Refusal, refuse, type Rule } from '../rule.js';
import { declaredDims } from '../value-rank.js';
import { ELLIPSIS, matchContraction } from './contraction.js';
import { findConstantWeight } from './weight.js';

export const einsumRule: Rule = {
  opType: 'Einsum',

  match(node: Node, graph: Graph): Match | Refusal {
    const equation = node.string('equation', '').replaceAll(' ', '');
    const [terms, result] = parseEquation(equation);
    const odd = (why: string) =>
      refuse('not-a-matrix-product', `${node.label} computes '${equation}', ${why}.`);
    if (terms.length !== 2 || node.inputs.length !== 2) return odd('which is not a product of two operands');
    // The second one where both are constant: runtimes fold such a node away.
    const at = findConstant(graph, node.inputs[1]) === undefined && isConstant(graph, node.inputs[0]) ? 0 : 1;
    const weight = findConstantWeight(node, graph, node.inputs[at]);
    if ('reason' in weight) return weight;
    const input = node.inputs[1 - at];
    const sizes = declaredDims(graph, input);
    const x = expand(terms[1 - at], sizes?.length);
    const labels = { x, weight: expand(terms[at], weight.dims.length), y: withEllipsis(result, x) };
    if (labels.weight.length !== weight.dims.length || (sizes && sizes.length !== x.length))
      return odd('which has other axes than its operands');
    const spread = x.find((label, i) => isSpread(sizes?.[i], weight.dims[labels.weight.indexOf(label)]));
    if (spread !== undefined) return odd(`and spreads axis ${spread} of one operand over the other's`);
    return matchContraction(node, graph, { input, weightName: node.inputs[at], weight }, labels);
  },
};

/** An axis of size 1 meets a longer one: the sum is not over pairs then. */
function isSpread(size: number | undefined, other: number | undefined): boolean {
  return size !== undefined && other !== undefined && size !== other;
}

function isConstant(graph: Graph, name: string): boolean {
  return findConstant(graph, name) !== undefined;
}

/** Labels of each operand and of the result, '…' for an ellipsis. Without an arrow the result has the labels that stand once, in alphabetical order. */
function parseEquation(equation: string): [string[][], string[]] {
  const [left, right] = equation.replaceAll('...', ELLIPSIS).split('->');
  const terms = left.split(',').map((term) => [...term]);
  if (right !== undefined) return [terms, [...right]];
  const all = terms.flat();
  const once = [...new Set(all)].filter(
    (label) => label === ELLIPSIS || all.indexOf(label) === all.lastIndexOf(label),
  );
  return [terms, once.sort((a, b) => Number(b === ELLIPSIS) - Number(a === ELLIPSIS) || (a < b ? -1 : 1))];
}

/** With a label for each axis that an ellipsis stands for, where the number of axes is known. */
function expand(term: readonly string[], rank: number | undefined): string[] {
  if (rank === undefined) return [...term];
  const count = rank - (term.length - 1);
  return term.flatMap((label) =>
    label === ELLIPSIS ? Array.from({ length: Math.max(count, 0) }, (_, i) => `${ELLIPSIS}${i}`) : [label],
  );
}

/** The result's ellipsis is X's. */
function withEllipsis(result: readonly string[], x: readonly string[]): string[] {
  const covered = x.filter((label) => label.startsWith(ELLIPSIS));
  return result.flatMap((label) => (label === ELLIPSIS ? covered : [label]));
}
