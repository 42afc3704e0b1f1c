// The wire format of protobuf: a message is a sequence of (tag, value); this finds where each lies.
import { BlockrankError } from '../errors.js';
import type { Source } from './source.js';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;
export type WireType = typeof VARINT | typeof FIXED64 | typeof BYTES | typeof FIXED32;

/** One field, by offsets into its source: the tag at `tag`, the value (without its length) at `start` … `end` − 1. */
export interface Span {
  readonly field: number;
  readonly wire: WireType;
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

export function invalid(source: Source, offset: number, what: string): BlockrankError {
  return new BlockrankError(
    'INVALID_MODEL',
    `${source.path} is not a valid ONNX file: ${what} at byte ${offset}. It may be truncated, damaged or of another format.`,
  );
}

/** The unsigned varint at `offset` and where it ends. */
export function readVarint(source: Source, offset: number, end: number): { value: bigint; end: number } {
  const bytes = source.read(offset, Math.min(offset + 10, end));
  let value = 0n;
  for (let i = 0; i < bytes.length; i++) {
    value |= BigInt(bytes[i] & 0x7f) << BigInt(7 * i);
    if (bytes[i] < 0x80) return { value: BigInt.asUintN(64, value), end: offset + i + 1 };
  }
  throw invalid(
    source,
    offset,
    bytes.length < 10 ? 'a number is cut short' : 'a number has more than 10 bytes',
  );
}

/** A varint that must be a size or an offset: kept as a plain number, and anything beyond `end` refused by the caller. */
function readSmall(source: Source, offset: number, end: number): { value: number; end: number } {
  if (offset >= end) throw invalid(source, offset, 'a field is cut short');
  const bytes = source.read(offset, Math.min(offset + 10, end));
  let value = 0;
  let scale = 1;
  for (let i = 0; i < bytes.length; i++) {
    value += (bytes[i] & 0x7f) * scale;
    if (bytes[i] < 0x80) return { value, end: offset + i + 1 };
    scale *= 128;
  }
  throw invalid(
    source,
    offset,
    bytes.length < 10 ? 'a number is cut short' : 'a number has more than 10 bytes',
  );
}

/** The fields of the message at `start` … `end` − 1, in order. Values are skipped, not read. */
export function scanFields(source: Source, start: number, end: number): Span[] {
  const spans: Span[] = [];
  for (let offset = start; offset < end;) {
    const span = scanField(source, offset, end);
    spans.push(span);
    offset = span.end;
  }
  return spans;
}

function scanField(source: Source, tag: number, end: number): Span {
  const key = readSmall(source, tag, end);
  const field = Math.floor(key.value / 8);
  const wire = key.value % 8;
  if (field === 0 || field > 0x1fffffff) throw invalid(source, tag, `field number ${field}`);
  const value = valueRange(source, tag, key.end, wire, end);
  if (value.end > end) throw invalid(source, tag, `field ${field} ends past the end of its message`);
  return { field, wire: wire as WireType, tag, ...value };
}

function valueRange(source: Source, tag: number, start: number, wire: number, end: number) {
  switch (wire) {
    case VARINT:
      return { start, end: readSmall(source, start, end).end };
    case FIXED64:
      return { start, end: start + 8 };
    case FIXED32:
      return { start, end: start + 4 };
    case BYTES: {
      const length = readSmall(source, start, end);
      return { start: length.end, end: length.end + length.value };
    }
    default:
      throw invalid(source, tag, `wire type ${wire}, which ONNX does not use,`);
  }
}
