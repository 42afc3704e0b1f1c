// Cuts two axes of one size into the same indices: [40] and [4, 10] agree on [4, 10].
import { type Axis, type Index, newIndex, type Substitution } from './form.js';
import { isOne, isSame, ONE, quotient, type Size } from './size.js';

export interface Refinement {
  readonly axis: Axis;
  readonly left: Substitution;
  readonly right: Substitution;
}

/** New indices for both sides; undefined where neither fits into the other, such as [4, 6] and [6, 4]. */
export function refine(left: Axis, right: Axis): Refinement | undefined {
  const a = new Cursor(left);
  const b = new Cursor(right);
  const axis: Index[] = [];
  while (!a.isDone && !b.isDone) {
    const index = a.index === b.index && a.isWhole && b.isWhole ? a.index : commonIndex(a.rest, b.rest);
    if (index === undefined) return undefined;
    a.take(index);
    b.take(index);
    axis.push(index);
  }
  return a.isDone && b.isDone ? { axis, left: a.pieces, right: b.pieces } : undefined;
}

function commonIndex(a: Size, b: Size): Index | undefined {
  if (quotient(b, a) !== undefined) return newIndex(a);
  return quotient(a, b) === undefined ? undefined : newIndex(b);
}

/** Walks over an axis and notes into what its indices are cut. */
class Cursor {
  readonly pieces = new Map<Index, Index[]>();
  private position = 0;
  rest: Size;

  constructor(private readonly axis: Axis) {
    this.rest = axis[0]?.size ?? ONE;
  }

  get isDone(): boolean {
    return this.position === this.axis.length;
  }

  get index(): Index {
    return this.axis[this.position];
  }

  get isWhole(): boolean {
    return isSame(this.rest, this.index.size);
  }

  take(piece: Index): void {
    const { index } = this;
    if (piece !== index) this.pieces.set(index, [...(this.pieces.get(index) ?? []), piece]);
    this.rest = quotient(this.rest, piece.size)!;
    if (!isOne(this.rest)) return;
    this.position++;
    this.rest = this.axis[this.position]?.size ?? ONE;
  }
}
