// A message seen through its spans: nothing is decoded before it is asked for, and nothing is lost.
import { BYTES, invalid, readVarint, scanFields, VARINT, type Span } from './scan.js';
import type { Source } from './source.js';

/** Protobuf's own readers stop at 100 levels too. */
export const MAX_DEPTH = 100;
/** Names and keys; a longer string in their place is damage. */
const MAX_STRING = 1 << 20;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Message {
  private fields: Span[] | undefined;
  private byField: Map<number, Span[]> | undefined;
  private readonly children = new Map<Span, Message>();

  constructor(
    readonly source: Source,
    readonly start: number,
    readonly end: number,
    /** Where this message stands in its parent; absent for a file. */
    readonly span?: Span,
    readonly parent?: Message,
    private readonly depth = 0,
  ) {}

  static of(source: Source): Message {
    return new Message(source, 0, source.size);
  }

  /** All fields in file order. */
  get spans(): readonly Span[] {
    return (this.fields ??= scanFields(this.source, this.start, this.end));
  }

  all(field: number): readonly Span[] {
    this.byField ??= groupByField(this.spans);
    return this.byField.get(field) ?? [];
  }

  has(field: number): boolean {
    return this.all(field).length > 0;
  }

  /** The same object for the same span. */
  child(span: Span): Message {
    let child = this.children.get(span);
    if (child === undefined) {
      this.expect(span, BYTES);
      if (this.depth >= MAX_DEPTH)
        throw invalid(this.source, span.tag, `messages nested deeper than ${MAX_DEPTH}`);
      child = new Message(this.source, span.start, span.end, span, this, this.depth + 1);
      this.children.set(span, child);
    }
    return child;
  }

  messages(field: number): Message[] {
    return this.all(field).map((span) => this.child(span));
  }

  /** A field that may stand once only. Protobuf would merge several; no exporter writes that. */
  message(field: number): Message | undefined {
    const spans = this.all(field);
    if (spans.length > 1)
      throw invalid(this.source, spans[1].tag, `field ${field} stands twice in one message`);
    return spans.length === 0 ? undefined : this.child(spans[0]);
  }

  bytes(span: Span): Uint8Array {
    this.expect(span, BYTES);
    return this.source.read(span.start, span.end);
  }

  strings(field: number): string[] {
    return this.all(field).map((span) => this.text(span));
  }

  /** '' when absent, as in proto3. */
  string(field: number): string {
    return this.strings(field).at(-1) ?? '';
  }

  /** 0 when absent; throws when it does not fit a JavaScript integer. */
  int(field: number): number {
    return this.ints(field).at(-1) ?? 0;
  }

  /** Repeated int64 or enum, packed or not; throws where one does not fit a JavaScript integer. */
  ints(field: number): number[] {
    return [...this.varints(field)].map(({ value, offset }) => this.safe(value, offset));
  }

  /** The same, with ±(2⁵³ − 1) for what does not fit: exporters write the largest int64 for "to the end". */
  clampedInts(field: number): number[] {
    const limit = Number.MAX_SAFE_INTEGER;
    return [...this.varints(field)].map(({ value }) => Math.max(-limit, Math.min(Number(value), limit)));
  }

  private *varints(field: number): Generator<{ value: bigint; offset: number }> {
    for (const span of this.all(field)) {
      if (span.wire !== BYTES) this.expect(span, VARINT);
      for (let offset = span.start; offset < span.end;) {
        const varint = readVarint(this.source, offset, span.end);
        yield { value: BigInt.asIntN(64, varint.value), offset };
        offset = varint.end;
      }
    }
  }

  private text(span: Span): string {
    this.expect(span, BYTES);
    return decodeText(this.source, span);
  }

  private safe(value: bigint, offset: number): number {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw invalid(this.source, offset, `the number ${value}`);
    return number;
  }

  private expect(span: Span, wire: number): void {
    if (span.wire !== wire)
      throw invalid(
        this.source,
        span.tag,
        `field ${span.field} of wire type ${span.wire} where ${wire} belongs`,
      );
  }
}

/** Throws INVALID_MODEL where the bytes are no UTF-8, or too many for a name. */
export function decodeText(source: Source, { tag, start, end }: Span): string {
  if (end - start > MAX_STRING) throw invalid(source, tag, 'a name of over a megabyte');
  const bytes = source.read(start, end);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw invalid(source, tag, 'a name that is not UTF-8');
  }
}

function groupByField(spans: readonly Span[]): Map<number, Span[]> {
  const groups = new Map<number, Span[]>();
  for (const span of spans) {
    const group = groups.get(span.field);
    if (group === undefined) groups.set(span.field, [span]);
    else group.push(span);
  }
  return groups;
}
