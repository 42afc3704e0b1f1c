// Adds to a model what today's exporters write and onnx-proto (ONNX 1.10) does not know.
import protobuf from 'protobufjs/minimal.js';
import { GRAPH, MODEL } from '../../../graph-rewriter/schema.js';
import { Edit } from '../../../graph-rewriter/wire/edit.js';
import { Message } from '../../../graph-rewriter/wire/message.js';
import { delimited, type Piece, totalLength, varintField } from '../../../graph-rewriter/wire/pieces.js';
import { BytesSource } from '../../../graph-rewriter/wire/source.js';

const METADATA = { node: 9, graph: 16, tensor: 16, valueInfo: 4 } as const;
const OVERLOAD = 8;
const DEVICE_CONFIGURATIONS = 10;
const MODEL_CONFIGURATION = 26;

export function withUnknownFields(bytes: Uint8Array): Uint8Array {
  const model = Message.of(new BytesSource(bytes));
  const graph = model.messages(MODEL.graph)[0];
  const edit = new Edit();
  graph.messages(GRAPH.node).forEach((node, i) => {
    edit.append(node, metadata(METADATA.node, 'pkg.torch.onnx.stack_trace', `line ${i}`));
    edit.append(node, delimited(OVERLOAD, [utf8(`overload ${i}`)]));
    edit.append(node, delimited(DEVICE_CONFIGURATIONS, [utf8('device')]));
    edit.append(node, [varintField(777, i)]);
  });
  for (const tensor of graph.messages(GRAPH.initializer))
    edit.append(tensor, [...metadata(METADATA.tensor, 'origin', 'torch'), fixed32(801, 7)]);
  for (const info of graph.messages(GRAPH.input)) edit.append(info, metadata(METADATA.valueInfo, 'k', 'v'));
  for (const body of model.messages(MODEL.functions)) edit.append(body, [varintField(900, 1)]);
  edit.append(graph, [...metadata(METADATA.graph, 'scope', 'root'), ...delimited(901, [utf8('graph')])]);
  edit.append(model, [...delimited(MODEL_CONFIGURATION, [utf8('configuration')]), fixed32(902, 3)]);
  return flatten(edit.render(model));
}

export function flatten(pieces: readonly Piece[]): Uint8Array {
  const bytes = new Uint8Array(totalLength(pieces));
  let offset = 0;
  for (const piece of pieces) {
    const part = piece instanceof Uint8Array ? piece : piece.source.read(piece.start, piece.end);
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

function metadata(field: number, key: string, value: string): Piece[] {
  return delimited(field, [new protobuf.Writer().uint32(10).string(key).uint32(18).string(value).finish()]);
}

function fixed32(field: number, value: number): Uint8Array {
  return new protobuf.Writer()
    .uint32((field << 3) | 5)
    .fixed32(value)
    .finish();
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
