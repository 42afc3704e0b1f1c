// A set of changes to one message tree. Rendering copies what no change lies in, byte for byte, and remakes only the lengths above a change.
import type { Message } from './message.js';
import { coalesce, delimited, type Piece } from './pieces.js';
import type { Span } from './scan.js';

interface Changes {
  /** In place of a field: the pieces of zero or more whole fields. */
  readonly replaced: Map<Span, readonly Piece[]>;
  /** Whole fields after the last one. */
  readonly appended: Piece[];
  /** Messages below, with changes of their own. */
  readonly children: Map<Span, Message>;
}

export class Edit {
  private readonly changes = new Map<Message, Changes>();

  /** `pieces` are whole fields, tags included. */
  replace(message: Message, span: Span, pieces: readonly Piece[]): void {
    this.of(message).replaced.set(span, pieces);
  }

  remove(message: Message, span: Span): void {
    this.replace(message, span, []);
  }

  append(message: Message, pieces: readonly Piece[]): void {
    this.of(message).appended.push(...pieces);
  }

  isEdited(message: Message): boolean {
    return this.changes.has(message);
  }

  /** The content of `message`, without a tag, after all changes in it and below it. */
  render(message: Message): Piece[] {
    return coalesce(this.content(message));
  }

  /** The whole field that holds `message`, after all changes. */
  renderField(message: Message): Piece[] {
    return delimited(message.span!.field, this.render(message));
  }

  private *content(message: Message): Generator<Piece> {
    const changes = this.changes.get(message);
    if (changes === undefined) {
      yield { source: message.source, start: message.start, end: message.end };
      return;
    }
    for (const span of message.spans) {
      const replaced = changes.replaced.get(span);
      const child = changes.children.get(span);
      if (replaced !== undefined) yield* replaced;
      else if (child !== undefined) yield* this.renderField(child);
      else yield { source: message.source, start: span.tag, end: span.end };
    }
    yield* changes.appended;
  }

  /** Also marks every message above, so that rendering descends to here. */
  private of(message: Message): Changes {
    let changes = this.changes.get(message);
    if (changes === undefined) {
      changes = { replaced: new Map(), appended: [], children: new Map() };
      this.changes.set(message, changes);
      if (message.parent !== undefined) this.of(message.parent).children.set(message.span!, message);
    }
    return changes;
  }
}
