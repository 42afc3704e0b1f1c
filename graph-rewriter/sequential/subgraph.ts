// A part of a model as a model of its own.
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import { FLOAT_BYTES } from '../floats.js';
import type { Graph } from '../graph.js';
import type { Model } from '../model.js';
import type { Node } from '../node.js';
import type { Operand } from '../operand.js';
import { dataTypeNumber, GRAPH, MODEL, NODE } from '../schema.js';
import { Edit } from '../wire/edit.js';
import { delimited, type Piece, totalLength, varintField } from '../wire/pieces.js';
import { valuesRead } from './flow.js';

const { onnx } = onnxProto;
/** From here on initializers need not be inputs. */
const OLDEST_IR = 4;
const PREFIX = 'blockrank.sequential';

/** What a product computes with in place of its weight. */
export interface Override {
  readonly operand: Operand;
  /** Added to its output, in the operand's type. */
  readonly shift?: Uint8Array;
}

export interface Part {
  readonly outputs: readonly string[];
  /** Element types of the values that are at hand and are not computed again. */
  readonly available: ReadonlyMap<string, string>;
  readonly overrides: ReadonlyMap<Node, Override>;
}

export interface Subgraph {
  readonly bytes: Uint8Array;
  readonly inputs: readonly string[];
  /** The nodes of the model that run in it. */
  readonly nodes: ReadonlySet<Node>;
}

/** The nodes between `available` and `outputs`, with the initializers that they read; external data stays where it is. */
export function extract(model: Model, part: Part): Subgraph {
  const { graph } = model;
  const { nodes, inputs, initializers } = gather(graph, part);
  const fields = [
    ...[...nodes].sort((a, b) => a.index - b.index).flatMap((node) => nodeFields(node, part.overrides)),
    ...initializers.flatMap((name) => copied(graph.initializers.get(name)!.message)),
    ...inputs.flatMap((name) => valueField(GRAPH.input, name, part.available.get(name))),
    ...part.outputs.flatMap((name) => valueField(GRAPH.output, name)),
  ];
  const { message } = model;
  const pieces = [
    varintField(MODEL.irVersion, Math.max(model.irVersion, OLDEST_IR)),
    ...message.messages(MODEL.opsetImport).flatMap(copied),
    ...message.messages(MODEL.functions).flatMap(copied),
    ...delimited(MODEL.graph, [...delimited(GRAPH_NAME, [text(PREFIX)]), ...fields]),
  ];
  return { bytes: join(pieces), inputs, nodes };
}

const GRAPH_NAME = 2;

function gather(graph: Graph, { outputs, available, overrides }: Part) {
  const nodes = new Set<Node>();
  const inputs = new Set<string>();
  const initializers = new Set<string>();
  const seen = new Set(outputs);
  for (const name of seen) {
    const node = graph.producer(name);
    if (available.has(name)) inputs.add(name);
    else if (node !== undefined) {
      nodes.add(node);
      const weight = overrides.has(node) ? node.inputs[1] : undefined;
      for (const read of valuesRead(graph, node)) if (read !== weight) seen.add(read);
    } else if (graph.initializers.has(name)) initializers.add(name);
  }
  return { nodes, inputs: [...inputs], initializers: [...initializers] };
}

function nodeFields(node: Node, overrides: ReadonlyMap<Node, Override>): Piece[] {
  const override = overrides.get(node);
  if (override === undefined) return copied(node.message);
  const name = (role: string) => `${PREFIX}.${role}.${node.index}`;
  const edit = new Edit();
  edit.replace(node.message, node.message.all(NODE.input)[1], delimited(NODE.input, [text(name('weight'))]));
  const { operand, shift } = override;
  const weight = initializer(name('weight'), operand.dims, operand.type, operand.bytes);
  if (shift === undefined) return [...edit.renderField(node.message), ...weight];
  edit.replace(node.message, node.message.all(NODE.output)[0], delimited(NODE.output, [text(name('raw'))]));
  const add = { opType: 'Add', input: [name('raw'), name('shift')], output: [node.outputs[0]] };
  const width = shift.length / FLOAT_BYTES[operand.type];
  return [
    ...edit.renderField(node.message),
    ...delimited(GRAPH.node, [onnx.NodeProto.encode(add).finish()]),
    ...weight,
    ...initializer(name('shift'), [width], operand.type, shift),
  ];
}

function initializer(
  name: string,
  dims: readonly number[],
  type: Operand['type'],
  rawData: Uint8Array,
): Piece[] {
  const tensor = { name, dims: [...dims], dataType: dataTypeNumber(type), rawData };
  return delimited(GRAPH.initializer, [onnx.TensorProto.encode(tensor).finish()]);
}

/** Without a shape, and an output without a type: ONNX Runtime infers them. */
function valueField(field: number, name: string, type?: string): Piece[] {
  const value: Onnx.IValueInfoProto = { name };
  if (type !== undefined)
    value.type = { tensorType: { elemType: dataTypeNumber(type as Parameters<typeof dataTypeNumber>[0]) } };
  return delimited(field, [onnx.ValueInfoProto.encode(value).finish()]);
}

function copied({ source, span, end }: Node['message']): Piece[] {
  return [{ source, start: span!.tag, end }];
}

const text = (value: string) => new TextEncoder().encode(value);

function join(pieces: readonly Piece[]): Uint8Array {
  const bytes = new Uint8Array(totalLength(pieces));
  let offset = 0;
  for (const piece of pieces) {
    const part = piece instanceof Uint8Array ? piece : piece.source.read(piece.start, piece.end);
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
