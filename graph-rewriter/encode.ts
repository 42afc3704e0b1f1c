// New parts of a model as fields of the wire format.
import onnxProto, { type onnx } from 'onnx-proto';
import { GRAPH, MODEL, NODE } from './schema.js';
import type { Message } from './wire/message.js';
import { delimited, type Piece } from './wire/pieces.js';

const { onnx: proto } = onnxProto;

/** A node of a graph. What `origin` says about itself, its documentation and metadata, is carried over as it is. */
export function nodeField(node: onnx.INodeProto, origin?: Message): Piece[] {
  const kept = (origin?.spans ?? [])
    .filter((span) => span.field === NODE.docString || span.field === NODE.metadataProps)
    .map((span) => ({ source: origin!.source, start: span.tag, end: span.end }));
  return delimited(GRAPH.node, [proto.NodeProto.encode(node).finish(), ...kept]);
}

/** An initializer: `header` has everything but the numbers, which follow as further fields. */
export function initializerField(header: onnx.ITensorProto, data: readonly Piece[] = []): Piece[] {
  return delimited(GRAPH.initializer, [proto.TensorProto.encode(header).finish(), ...data]);
}

export function functionField(body: onnx.IFunctionProto): Piece[] {
  return delimited(MODEL.functions, [proto.FunctionProto.encode(body).finish()]);
}

export function opsetField(domain: string, version: number): Piece[] {
  return delimited(MODEL.opsetImport, [proto.OperatorSetIdProto.encode({ domain, version }).finish()]);
}

export function metadataField(key: string, value: string): Piece[] {
  return delimited(MODEL.metadataProps, [entry(key, value)]);
}

export function entry(key: string, value: string): Uint8Array {
  return proto.StringStringEntryProto.encode({ key, value }).finish();
}
