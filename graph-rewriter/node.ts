// A NodeProto for reading.
import { ATTRIBUTE, isStandardDomain, NODE } from './schema.js';
import type { Message } from './wire/message.js';
import { FIXED32 } from './wire/scan.js';

export class Node {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private attributes: Map<string, Message> | undefined;

  constructor(
    readonly message: Message,
    /** Position in its graph's list. */
    readonly index: number,
  ) {
    this.name = message.string(NODE.name);
    this.opType = message.string(NODE.opType);
    this.domain = message.string(NODE.domain);
    this.overload = message.string(NODE.overload);
    this.inputs = message.strings(NODE.input);
    this.outputs = message.strings(NODE.output);
  }

  /** Its name, or what it is and where. */
  get id(): string {
    return this.name === '' ? `${this.opType}#${this.index}` : this.name;
  }

  /** What to call the node in a sentence. */
  get label(): string {
    return this.name === '' ? `${this.opType} #${this.index}` : `${this.opType} '${this.name}'`;
  }

  is(opType: string): boolean {
    return this.opType === opType && isStandardDomain(this.domain);
  }

  attribute(name: string): Message | undefined {
    this.attributes ??= new Map(
      this.message.messages(NODE.attribute).map((attribute) => [attribute.string(ATTRIBUTE.name), attribute]),
    );
    return this.attributes.get(name);
  }

  int(name: string, otherwise: number): number {
    const attribute = this.attribute(name);
    return attribute === undefined ? otherwise : (attribute.clampedInts(ATTRIBUTE.i).at(-1) ?? 0);
  }

  ints(name: string): number[] | undefined {
    return this.attribute(name)?.clampedInts(ATTRIBUTE.ints);
  }

  float(name: string, otherwise: number): number {
    const attribute = this.attribute(name);
    if (attribute === undefined) return otherwise;
    const span = attribute.all(ATTRIBUTE.f).at(-1);
    if (span?.wire !== FIXED32) return 0;
    const bytes = attribute.source.read(span.start, span.end);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
  }

  string(name: string, otherwise: string): string {
    return this.attribute(name)?.string(ATTRIBUTE.s) ?? otherwise;
  }

  /** Bodies of If, Loop and Scan. */
  bodies(): Message[] {
    return this.message
      .messages(NODE.attribute)
      .flatMap((attribute) => [...attribute.messages(ATTRIBUTE.g), ...attribute.messages(ATTRIBUTE.graphs)]);
  }
}
