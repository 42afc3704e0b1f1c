// What has to run before each group can be solved, and which values must be kept between two groups.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { valuesRead } from './flow.js';
import type { Group, Walk } from './groups.js';

/** The part of the network between one group and the next. */
export interface Stage {
  readonly group: Group;
  /** Values made here that this group or a later stage needs. */
  readonly makes: readonly string[];
  /** Values that nothing needs once the group is solved and the next stage has run. */
  readonly lastReads: readonly string[];
}

/** Every node runs in the first stage that needs it; nodes that no group needs, such as a language model's head, in none. */
export function planStages(graph: Graph, { groups, constants }: Walk): Stage[] {
  const ran = new Set<Node>();
  const madeAt = new Map<string, number>([...graph.inputs].map((name) => [name, -1]));
  const lastRead = new Map<string, number>();
  groups.forEach((group, position) => {
    const wanted = groupValues(group);
    const pending = [...wanted];
    for (const name of pending) {
      const node = graph.producer(name);
      if (node === undefined || ran.has(node) || constants.has(node)) continue;
      ran.add(node);
      for (const output of node.outputs) madeAt.set(output, position);
      pending.push(...valuesRead(graph, node));
    }
    for (const name of pending) if (madeAt.has(name)) lastRead.set(name, position);
  });
  return groups.map((group, position) => ({
    group,
    makes: [...madeAt].flatMap(([name, at]) =>
      at === position && (lastRead.get(name)! > position || groupValues(group).includes(name)) ? [name] : [],
    ),
    lastReads: [...lastRead].flatMap(([name, at]) => (at === position ? [name] : [])),
  }));
}

/** The values that the statistics of a group are taken of. */
export function groupValues({ input, members }: Group): string[] {
  return [...new Set([input, ...members.flatMap(({ residuals }) => residuals.map(({ name }) => name))])];
}
