// An ONNX file as a tree that can be changed at will, and written with lengths that fit, or that lie.
// Independent of the rewriter's own reader, which is what is tested.

export type Kind = keyof typeof CHILDREN | 'leaf';

export interface Field {
  field: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  wire: number;
  kind: Kind;
  /** A varint's number, or bytes. Unused where there are children. */
  value: bigint | Uint8Array;
  /** Of a message that the schema knows. */
  children?: Field[];
  /** Written in place of the true length. */
  claimed?: bigint;
}

/** Which fields of a message are messages themselves. */
const CHILDREN = {
  model: { 7: 'graph', 8: 'pair', 14: 'pair', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 11: 'info', 12: 'info', 13: 'info', 15: 'sparse', 16: 'pair' },
  node: { 5: 'attribute', 9: 'pair' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse' },
  tensor: { 13: 'pair', 16: 'pair' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 9: 'pair', 11: 'attribute', 12: 'info' },
  info: { 2: 'type' },
  type: { 1: 'tensorType' },
  tensorType: { 2: 'shape' },
  shape: { 1: 'dim' },
  dim: {},
  pair: {},
} as const;

/** `bytes` must be valid. */
export function parseTree(bytes: Uint8Array, kind: Kind = 'model'): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const key = readVarint(bytes, at);
    const [field, wire] = [Number(key.value >> 3n), Number(key.value & 7n)];
    const childKind = (CHILDREN as Record<string, Record<number, Kind>>)[kind]?.[field] ?? 'leaf';
    let { end } = key;
    let value: bigint | Uint8Array;
    if (wire === 0) ({ value, end } = readVarint(bytes, end));
    else {
      const length = wire === 2 ? readVarint(bytes, end) : { value: wire === 1 ? 8n : 4n, end };
      end = length.end + Number(length.value);
      value = bytes.slice(length.end, end);
    }
    const children =
      childKind !== 'leaf' && value instanceof Uint8Array ? parseTree(value, childKind) : undefined;
    fields.push({ field, wire, kind: childKind, value, ...(children && { children }) });
    at = end;
  }
  return fields;
}

export function encodeTree(fields: readonly Field[]): Uint8Array {
  return concat(fields.flatMap(encodeField));
}

function encodeField({ field, wire, value, children, claimed }: Field): Uint8Array[] {
  const tag = varint((BigInt(field) << 3n) | BigInt(wire));
  if (children === undefined && typeof value === 'bigint') return [tag, varint(value)];
  const content = children === undefined ? (value as Uint8Array) : encodeTree(children);
  return wire === 2 ? [tag, varint(claimed ?? BigInt(content.length)), content] : [tag, content];
}

export function cloneTree(fields: readonly Field[]): Field[] {
  return fields.map((f) => ({ ...f, ...(f.children && { children: cloneTree(f.children) }) }));
}

/** Every field with the list that it stands in. */
export function* walk(fields: Field[]): Generator<{ at: Field; among: Field[] }> {
  for (const at of fields) {
    yield { at, among: fields };
    if (at.children) yield* walk(at.children);
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    if (rest <= 0x7fn) return Uint8Array.from(bytes);
  }
}

function readVarint(bytes: Uint8Array, at: number): { value: bigint; end: number } {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++];
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return { value, end: at };
  }
}
