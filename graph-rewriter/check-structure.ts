// Walks every message that ONNX defines, so that damage anywhere is found before anything is written.
// Without this, what the rewriter does not read would be copied as it is, damage too.
import { decodeText, MAX_DEPTH } from './wire/message.js';
import {
  BYTES,
  FIXED32,
  FIXED64,
  invalid,
  readVarint,
  scanFields,
  type Span,
  VARINT,
  type WireType,
} from './wire/scan.js';
import type { Source } from './wire/source.js';

/**
 * How a field is encoded. `enum` fits 32 bits; `name` is text that the rewriter reads, other text is bytes. Numbers may be packed
 * where they are repeated; `?` marks a message that may stand once only.
 */
type Encoding =
  | ('int' | 'enum' | 'ints' | 'float' | 'floats' | 'doubles' | 'name' | 'bytes')
  | MessageName
  | `${MessageName}?`;

type MessageName =
  | 'attribute'
  | 'dimension'
  | 'function'
  | 'graph'
  | 'info'
  | 'map'
  | 'model'
  | 'node'
  | 'opset'
  | 'pair'
  | 'quantization'
  | 'sequence'
  | 'shape'
  | 'sparseTensor'
  | 'tensor'
  | 'tensorType'
  | 'training'
  | 'type';

/** Fields of onnx.proto up to ONNX 1.19 by number. Others are not looked into. */
const FIELDS: Record<MessageName, Record<number, Encoding>> = {
  model: {
    ...{ 1: 'int', 2: 'name', 3: 'bytes', 4: 'bytes', 5: 'int', 6: 'bytes' },
    ...{ 7: 'graph?', 8: 'opset', 14: 'pair', 20: 'training', 25: 'function' },
  },
  graph: {
    ...{ 1: 'node', 2: 'bytes', 5: 'tensor', 10: 'bytes', 11: 'info', 12: 'info', 13: 'info' },
    ...{ 14: 'quantization', 15: 'sparseTensor', 16: 'pair' },
  },
  node: {
    ...{ 1: 'name', 2: 'name', 3: 'name', 4: 'name', 5: 'attribute', 6: 'bytes', 7: 'name' },
    ...{ 8: 'bytes', 9: 'pair' },
  },
  attribute: {
    ...{ 1: 'name', 2: 'float', 3: 'int', 4: 'bytes', 5: 'tensor?', 6: 'graph?', 7: 'floats', 8: 'ints' },
    ...{ 9: 'bytes', 10: 'tensor', 11: 'graph', 13: 'bytes', 14: 'type?', 15: 'type', 20: 'enum' },
    ...{ 21: 'bytes', 22: 'sparseTensor?', 23: 'sparseTensor' },
  },
  tensor: {
    ...{ 1: 'ints', 2: 'enum', 4: 'floats', 5: 'ints', 6: 'bytes', 7: 'ints', 8: 'name', 9: 'bytes' },
    ...{ 10: 'doubles', 11: 'ints', 12: 'bytes', 13: 'pair', 14: 'enum', 16: 'pair' },
  },
  function: {
    ...{ 1: 'name', 4: 'name', 5: 'name', 6: 'bytes', 7: 'node', 8: 'bytes', 9: 'opset', 10: 'name' },
    ...{ 11: 'attribute', 12: 'info', 13: 'bytes', 14: 'pair' },
  },
  training: { 1: 'graph?', 2: 'graph?', 3: 'pair', 4: 'pair' },
  sparseTensor: { 1: 'tensor?', 2: 'tensor?', 3: 'ints' },
  quantization: { 1: 'bytes', 2: 'pair' },
  info: { 1: 'name', 2: 'type?', 3: 'bytes', 4: 'pair' },
  type: { 1: 'tensorType?', 4: 'sequence?', 5: 'map?', 6: 'bytes', 8: 'tensorType?', 9: 'sequence?' },
  tensorType: { 1: 'enum', 2: 'shape?' },
  sequence: { 1: 'type?' },
  map: { 1: 'enum', 2: 'type?' },
  shape: { 1: 'dimension' },
  dimension: { 1: 'int', 2: 'bytes', 3: 'bytes' },
  opset: { 1: 'name', 2: 'int' },
  pair: { 1: 'name', 2: 'bytes' },
};

const WIRES: Record<string, readonly WireType[]> = {
  int: [VARINT],
  enum: [VARINT],
  ints: [VARINT, BYTES],
  float: [FIXED32],
  floats: [FIXED32, BYTES],
  doubles: [FIXED64, BYTES],
};

/** @throws BlockrankError INVALID_MODEL with the byte where the file stops making sense. */
export function checkStructure(source: Source): void {
  check(source, 0, source.size, 'model', 0);
}

function check(source: Source, start: number, end: number, name: MessageName, depth: number): void {
  if (depth > MAX_DEPTH) throw invalid(source, start, `messages nested deeper than ${MAX_DEPTH}`);
  const single = new Set<number>();
  for (const span of scanFields(source, start, end)) {
    const encoding = FIELDS[name][span.field] as Encoding | undefined;
    if (encoding === undefined) continue;
    expectWire(source, span, WIRES[encoding] ?? [BYTES]);
    if (encoding === 'name') decodeText(source, span);
    if (encoding === 'enum') expectEnum(source, span);
    if (encoding.endsWith('?')) {
      if (single.has(span.field))
        throw invalid(source, span.tag, `field ${span.field} stands twice in one message`);
      single.add(span.field);
    }
    const inner = encoding.replace('?', '');
    if (inner in FIELDS) check(source, span.start, span.end, inner as MessageName, depth + 1);
  }
}

function expectWire(source: Source, { field, wire, tag }: Span, wires: readonly WireType[]): void {
  if (!wires.includes(wire))
    throw invalid(source, tag, `field ${field} of wire type ${wire} where ${wires.join(' or ')} belongs`);
}

function expectEnum(source: Source, { start, end, tag, field }: Span): void {
  const { value } = readVarint(source, start, end);
  if (value > 0x7fffffffn) throw invalid(source, tag, `field ${field} with the number ${value}`);
}
