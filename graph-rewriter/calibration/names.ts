import protobuf from 'protobufjs/minimal.js';
import { BlockrankError } from '../errors.js';

export interface ModelNames {
  /** Version of the default operator set. */
  readonly opset: number;
  /** Tensors of the main graph: its inputs, and the outputs of its nodes. */
  readonly graph: ReadonlySet<string>;
  /** The same of the bodies of If, Loop and Scan, which cannot be observed from outside. */
  readonly subgraphs: ReadonlySet<string>;
}

/* Field numbers of onnx.proto. */
const MODEL = { graph: 7, opsetImport: 8 };
const OPSET = { domain: 1, version: 2 };
const GRAPH = { node: 1, input: 11 };
const NODE = { output: 2, attribute: 5 };
const ATTRIBUTE = { graph: 6, graphs: 11 };
const VALUE_INFO = { name: 1 };

/** Reads names off the wire format; weights are skipped, not decoded. */
export function readNames(model: Uint8Array): ModelNames {
  const graph = new Set<string>();
  const subgraphs = new Set<string>();
  let opset = 0;
  try {
    walk(protobuf.Reader.create(model), (field, reader) => {
      if (field === MODEL.graph) readGraph(nested(reader), graph, subgraphs);
      else if (field === MODEL.opsetImport) opset = Math.max(opset, readOpset(nested(reader)));
      else return false;
      return true;
    });
  } catch (cause) {
    throw new BlockrankError('INVALID_MODEL', `not an ONNX model: ${String(cause)}`, { cause });
  }
  if (opset === 0) throw new BlockrankError('INVALID_MODEL', 'not an ONNX model: it imports no operator set');
  return { opset, graph, subgraphs };
}

/** Calls `take` with each field's number; fields that it does not consume are skipped. */
function walk(reader: protobuf.Reader, take: (field: number, reader: protobuf.Reader) => boolean): void {
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!take(tag >>> 3, reader)) reader.skipType(tag & 7);
  }
}

function nested(reader: protobuf.Reader): protobuf.Reader {
  return protobuf.Reader.create(reader.bytes());
}

function readGraph(graph: protobuf.Reader, names: Set<string>, inner: Set<string>): void {
  walk(graph, (field, reader) => {
    if (field === GRAPH.node) readNode(nested(reader), names, inner);
    else if (field === GRAPH.input) names.add(readString(nested(reader), VALUE_INFO.name));
    else return false;
    return true;
  });
}

function readNode(node: protobuf.Reader, names: Set<string>, inner: Set<string>): void {
  walk(node, (field, reader) => {
    if (field === NODE.output) names.add(reader.string());
    else if (field === NODE.attribute)
      walk(nested(reader), (part, attribute) => {
        if (part !== ATTRIBUTE.graph && part !== ATTRIBUTE.graphs) return false;
        readGraph(nested(attribute), inner, inner);
        return true;
      });
    else return false;
    return true;
  });
}

/** Version of the default operator set, 0 for another domain's. */
function readOpset(entry: protobuf.Reader): number {
  let domain = '';
  let version = 0;
  walk(entry, (field, reader) => {
    if (field === OPSET.domain) domain = reader.string();
    else if (field === OPSET.version) version = Number(reader.int64());
    else return false;
    return true;
  });
  return domain === '' || domain === 'ai.onnx' ? version : 0;
}

function readString(message: protobuf.Reader, wanted: number): string {
  let value = '';
  walk(message, (field, reader) => {
    if (field !== wanted) return false;
    value = reader.string();
    return true;
  });
  return value;
}
