// The layers to be changed, grouped by the tensor that they read, in the order in which they run.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { Match } from '../rule.js';
import type { LayerInfo, LayerPlan } from '../types.js';
import { constantNodes, valuesRead } from './flow.js';
import { residualTerms, type ResidualTerm } from './residual.js';

export interface Member {
  readonly info: LayerInfo;
  readonly match: Match;
  readonly plan: LayerPlan;
  /** The weight also multiplies other tensors: it is fitted to all of them at once, and has no target of its own. */
  readonly isShared: boolean;
  /** What the layer's output is added to; empty where it is added to nothing. */
  readonly residuals: readonly ResidualTerm[];
}

/** Layers that read one tensor: they share their input's statistics. */
export interface Group {
  readonly input: string;
  readonly members: readonly Member[];
}

export interface Walk {
  readonly groups: readonly Group[];
  /** Of each value that a changed layer comes before: the position of the last group before it. */
  readonly depths: ReadonlyMap<string, number>;
  readonly constants: ReadonlySet<Node>;
}

type Candidate = Omit<Member, 'residuals'>;

export function findGroups(graph: Graph, layers: readonly Candidate[]): Walk {
  const constants = constantNodes(graph);
  const byInput = new Map<string, Candidate[]>();
  for (const layer of [...layers].sort((a, b) => productOf(a).index - productOf(b).index)) {
    const { input } = layer.match;
    const producer = graph.producer(input);
    if (producer !== undefined ? constants.has(producer) : !graph.inputs.has(input)) continue;
    byInput.set(input, [...(byInput.get(input) ?? []), layer]);
  }
  const candidates = [...byInput];
  const depths = groupDepths(graph, candidates);
  const groups = candidates.map(([input, members], position) => ({
    input,
    members: members.map((member) => ({
      ...member,
      residuals: residualTerms(member.match, constants, (name) => (depths.get(name) ?? -1) < position),
    })),
  }));
  return { groups, depths, constants };
}

export const productOf = ({ match }: Pick<Member, 'match'>): Node => match.nodes[0];

function groupDepths(
  graph: Graph,
  groups: readonly (readonly [string, readonly Candidate[]])[],
): Map<string, number> {
  const own = new Map(
    groups.flatMap(([, members], position) =>
      members.map((member) => [productOf(member), position] as const),
    ),
  );
  const depths = new Map<string, number>();
  for (const node of graph.nodes) {
    const before = valuesRead(graph, node).map((name) => depths.get(name) ?? -1);
    const depth = Math.max(own.get(node) ?? -1, ...before);
    if (depth >= 0) for (const name of node.outputs) depths.set(name, depth);
  }
  return depths;
}
