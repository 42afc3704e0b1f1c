// Y = Σ X · W over shared axes, axes named by labels: a matrix product once the summed axes of X, and the new ones of Y, are
// last and taken together. Einsum, 1×1 Conv and a weight on the left are all of this form.
import type { Constant } from '../constants.js';
import type { Graph } from '../graph.js';
import { type Move, transposition } from '../moves.js';
import type { Node } from '../node.js';
import { type Match, type Refusal, refuse } from '../rule.js';

/** One distinct label for each axis. */
export interface Labels {
  readonly x: readonly string[];
  readonly weight: readonly string[];
  readonly y: readonly string[];
}

/** Stands for axes whose number is not known: they may not be moved. */
export const ELLIPSIS = '…';

interface Operands {
  readonly input: string;
  readonly weightName: string;
  /** Its axes are `labels.weight`. */
  readonly weight: Constant;
}

export function matchContraction(
  node: Node,
  graph: Graph,
  { input, weightName, weight }: Operands,
  labels: Labels,
): Match | Refusal {
  const odd = oddLabel(labels);
  if (odd !== undefined)
    return refuse('not-a-matrix-product', `${node.label} is no plain matrix product: ${odd}.`, weight);
  const { x, y } = labels;
  const summed = x.filter((label) => labels.weight.includes(label));
  const made = y.filter((label) => labels.weight.includes(label));
  const lead = x.filter((label) => !summed.includes(label));
  const sizes = (of: readonly string[]) => of.map((label) => weight.dims[labels.weight.indexOf(label)]);
  const before = [
    ...transposition([...lead, ...summed].map((label) => x.indexOf(label))),
    ...(summed.length === 1 ? [] : [{ reshape: [...lead.map(() => 0), product(sizes(summed))] }]),
  ];
  const after = [
    ...(made.length === 1 ? [] : [{ reshape: [...lead.map(() => 0), ...sizes(made)] }]),
    ...transposition(y.map((label) => [...lead, ...made].indexOf(label))),
  ];
  if (lead.includes(ELLIPSIS) && before.length + after.length > 0)
    return refuse(
      'shape-unknown',
      `The model declares no shape of '${input}', whose axes ${node.label} moves. Run shape inference.`,
      weight,
    );
  return {
    graph,
    nodes: [node],
    input,
    output: node.outputs[0],
    weight,
    weightName,
    ...storedOrder(weight, labels.weight, made, summed),
    in: product(sizes(summed)),
    out: product(sizes(made)),
    scale: 1,
    activation: 'none',
    ...layout(before, after),
    biasShape: y.slice(y.indexOf(made[0])).map((label) => (made.includes(label) ? sizes([label])[0] : 1)),
    ...(!y.includes(ELLIPSIS) && { rank: y.length }),
  };
}

function layout(before: readonly Move[], after: readonly Move[]): Pick<Match, 'before' | 'after'> {
  return { ...(before.length > 0 && { before }), ...(after.length > 0 && { after }) };
}

/** What keeps it from being a product of matrices. */
function oddLabel({ x, weight, y }: Labels): string | undefined {
  const repeated = [x, weight, y].some((labels) => new Set(labels).size < labels.length);
  if (repeated) return 'an axis is named twice';
  for (const label of weight) {
    if (x.includes(label) && y.includes(label))
      return `axis ${label} is shared by both operands and the result`;
    if (!x.includes(label) && !y.includes(label)) return `it sums the weight over axis ${label}`;
  }
  for (const label of x)
    if (!weight.includes(label) && !y.includes(label)) return `it sums its input over axis ${label}`;
  const unknown = y.find((label) => !x.includes(label) && !weight.includes(label));
  if (unknown !== undefined) return `axis ${unknown} of the result is none of its operands'`;
  if (!weight.some((label) => x.includes(label))) return 'nothing is summed';
  if (!weight.some((label) => y.includes(label))) return 'the weight adds no axis';
  return undefined;
}

/** How the numbers lie that [made, summed] is to be read from. Axes of size 1 say nothing. */
function storedOrder(
  { dims, transposed }: Constant,
  labels: readonly string[],
  made: readonly string[],
  summed: readonly string[],
): Pick<Match, 'storedOutIn' | 'axes'> {
  const size = (label: string) => dims[labels.indexOf(label)];
  const wide = (order: readonly string[]) => order.filter((label) => size(label) !== 1).join();
  const isOutIn = wide(labels) === wide([...made, ...summed]);
  if (isOutIn || wide(labels) === wide([...summed, ...made])) return { storedOutIn: isOutIn !== transposed };
  // Three wide axes or more, so the view is not transposed.
  const wanted = [...made, ...summed];
  const stride = (label: string) => product(wanted.slice(wanted.indexOf(label) + 1).map(size));
  return { storedOutIn: false, axes: labels.map((label) => ({ size: size(label), stride: stride(label) })) };
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1);
}
