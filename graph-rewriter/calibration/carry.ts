// Takes what a tap sums up in a body out of it: an If returns the sums of the branch that ran, a Loop or Scan adds up those of its iterations.
import type { onnx as Onnx } from 'onnx-proto';
import { nodeField } from '../encode.js';
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import { GRAPH, NODE } from '../schema.js';
import type { Edit } from '../wire/edit.js';
import { insert } from './insert.js';
import { constant, DataType, op, value, zero } from './protos.js';
import { namesOf, type Sums, sumsOf } from './tap.js';

/** Scans had batches of their own before. */
const SCAN_OPSET = 9;

/** A tap in a body. */
export interface Carried {
  readonly index: number;
  /** Length of a row. */
  readonly size: number;
}

/** What a tap in the node's bodies sums up can leave them. */
export function isPassable(node: Node, opset: number): boolean {
  return node.is('If') || node.is('Loop') || (node.is('Scan') && opset >= SCAN_OPSET);
}

/** `taps` are those in each body of an If, whose sums stand in that body one level deeper than `level`, the graph's own. */
export function carryOutOfIf(edit: Edit, graph: Graph, node: Node, taps: Carried[][], level: number): void {
  const all = taps.flat();
  const bodies = graph.bodies(node);
  const own = bodies[0].message.all(GRAPH.output).length;
  bodies.forEach(({ message }, i) => {
    const others = all.filter((tap) => !taps[i].includes(tap));
    const none = others.flatMap(({ index }) => noRows(sumsOf(index, level + 1)));
    edit.append(message, fieldsOf(none));
    insert.values(
      edit,
      message,
      GRAPH.output,
      own,
      all.flatMap(({ index }) => valuesOf(sumsOf(index, level + 1))),
    );
  });
  insert.names(edit, node.message, NODE.output, own, namesAt(all, level));
}

/** Sums are states: bounded memory, and whatever shape the tensor has in an iteration, its sums have one. */
export function carryOutOfLoop(edit: Edit, graph: Graph, node: Node, taps: Carried[], level: number): void {
  const [{ message }] = graph.bodies(node);
  const states = taps.map(({ index }) => stateOf(index, level + 1));
  const at = positions(node, message.all(GRAPH.input).length);
  edit.append(graph.message, fieldsOf(taps.flatMap((tap) => start(node, tap, level))));
  edit.append(message, fieldsOf(states.flatMap(({ own, before, after }) => addUp(own, before, after))));
  // A Scan makes room for its outputs before it runs, and must be told how much where shapes are not inferred.
  const values = (of: 'before' | 'after') =>
    states.flatMap((state, i) => valuesOf(state[of], node.is('Scan') ? taps[i].size : undefined));
  insert.names(edit, node.message, NODE.input, at.input, taps.flatMap(startNames(level)));
  insert.values(edit, message, GRAPH.input, at.bodyInput, values('before'));
  insert.values(edit, message, GRAPH.output, at.bodyOutput, values('after'));
  insert.names(edit, node.message, NODE.output, at.output, namesAt(taps, level));
}

/** Where a node's states end, among its inputs and outputs and those of its body. */
function positions(node: Node, bodyInputs: number) {
  if (node.is('Loop'))
    return { input: bodyInputs, bodyInput: bodyInputs, bodyOutput: bodyInputs - 1, output: bodyInputs - 2 };
  const states = bodyInputs - node.int('num_scan_inputs', 0);
  return { input: states, bodyInput: states, bodyOutput: states, output: states };
}

interface State {
  readonly own: Sums;
  readonly before: Sums;
  readonly after: Sums;
}

function stateOf(index: number, level: number): State {
  const own = sumsOf(index, level);
  const named = (role: string) => ({ gram: `${own.gram}.${role}`, count: `${own.count}.${role}` });
  return { own, before: named('before'), after: named('after') };
}

function addUp(own: Sums, before: Sums, after: Sums): Onnx.INodeProto[] {
  return [op('Add', [before.gram, own.gram], after.gram), op('Add', [before.count, own.count], after.count)];
}

/** Sums of no rows. A Loop's states may grow from [1, 1]; a Scan's keep their shape. */
function start(node: Node, { index, size }: Carried, level: number): Onnx.INodeProto[] {
  const [gram, count] = startNames(level)({ index });
  if (node.is('Loop')) return noRows({ gram, count });
  return [
    constant(`${gram}.shape`, [size, size]),
    op('ConstantOfShape', [`${gram}.shape`], gram),
    constant(count, 0),
  ];
}

const startNames =
  (level: number) =>
  ({ index }: Pick<Carried, 'index'>): string[] => {
    const { gram, count } = sumsOf(index, level);
    return [`${gram}.start`, `${count}.start`];
  };

/** One zero stands for a whole matrix: whatever it is added to, it is broadcast. */
function noRows({ gram, count }: Sums): Onnx.INodeProto[] {
  return [zero(gram, [1, 1]), constant(count, 0)];
}

function namesAt(taps: readonly Carried[], level: number): string[] {
  return taps.flatMap(({ index }) => namesOf(sumsOf(index, level)));
}

export function valuesOf({ gram, count }: Sums, size?: number): Onnx.IValueInfoProto[] {
  return [
    value(gram, DataType.FLOAT, size === undefined ? undefined : [size, size]),
    value(count, DataType.INT64, []),
  ];
}

export function fieldsOf(nodes: readonly Onnx.INodeProto[]) {
  return nodes.flatMap((node) => nodeField(node));
}
