// Puts taps into a model: each into the graph where its layer runs, with its sums carried out to the model's outputs.
import type { Graph } from '../graph.js';
import type { Model } from '../model.js';
import { GRAPH } from '../schema.js';
import { Edit } from '../wire/edit.js';
import type { Piece } from '../wire/pieces.js';
import { type Carried, carryOutOfIf, carryOutOfLoop, fieldsOf, valuesOf } from './carry.js';
import { insert } from './insert.js';
import { graphAt } from './places.js';
import { type Observed, sharedNodes, sumsOf, tapNodes } from './tap.js';

/** A tensor in the graph where a layer reads it. */
export interface Tap extends Observed {
  readonly place: string;
  /** Length of a row; only Scans need it. */
  readonly size: number;
}

/** The bytes of the model with taps; nothing else is decoded or copied field by field. */
export function withTaps(model: Model, taps: readonly Tap[], mask: string | undefined): Piece[] {
  const { graph } = model;
  const edit = new Edit();
  edit.append(graph.message, fieldsOf(sharedNodes(model.opset, mask)));
  new Tapper(model, edit, taps, mask !== undefined).enter(graph, 0);
  const outputs = taps.flatMap((_, index) => valuesOf(sumsOf(index)));
  insert.values(edit, graph.message, GRAPH.output, graph.message.all(GRAPH.output).length, outputs);
  return edit.render(model.message);
}

class Tapper {
  private readonly byGraph = new Map<Graph, Carried[]>();

  constructor(
    private readonly model: Model,
    private readonly edit: Edit,
    private readonly taps: readonly Tap[],
    private readonly masked: boolean,
  ) {
    taps.forEach(({ place, size }, index) => {
      const graph = graphAt(model.graph, place)!;
      this.byGraph.set(graph, [...(this.byGraph.get(graph) ?? []), { index, size }]);
    });
  }

  /** The taps of a graph and of the bodies in it, whose sums are values of the graph from here on. */
  enter(graph: Graph, level: number): Carried[] {
    const own = this.byGraph.get(graph) ?? [];
    const nodes = own.flatMap(({ index }) =>
      tapNodes(this.taps[index], index, sumsOf(index, level), this.model.opset, this.masked),
    );
    if (nodes.length > 0) this.edit.append(graph.message, fieldsOf(nodes));
    return [...own, ...graph.nodes.flatMap((node) => this.leave(graph, node, level))];
  }

  private leave(graph: Graph, node: Graph['nodes'][number], level: number): Carried[] {
    const taps = graph.bodies(node).map((body) => this.enter(body, level + 1));
    const all = taps.flat();
    if (all.length === 0) return [];
    if (node.is('If')) carryOutOfIf(this.edit, graph, node, taps, level);
    else carryOutOfLoop(this.edit, graph, node, all, level);
    return all;
  }
}
