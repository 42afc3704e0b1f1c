// Pieces read as one file: a model that was edited, without writing it.
import { type Piece, pieceLength } from './pieces.js';
import type { Source } from './source.js';

export class PiecedSource implements Source {
  readonly size: number;
  /** Offset of each piece. */
  private readonly starts: number[] = [];

  constructor(
    private readonly pieces: readonly Piece[],
    readonly path: string,
  ) {
    let offset = 0;
    for (const piece of pieces) {
      this.starts.push(offset);
      offset += pieceLength(piece);
    }
    this.size = offset;
  }

  read(start: number, end: number): Uint8Array {
    if (start < 0 || end < start || end > this.size)
      throw new RangeError(`read ${start}…${end} of ${this.size}`);
    let i = this.pieceAt(start);
    if (i < 0 || end <= this.starts[i] + pieceLength(this.pieces[i])) return this.part(i, start, end);
    const bytes = new Uint8Array(end - start);
    for (let at = start; at < end; i++) {
      const stop = Math.min(end, this.starts[i] + pieceLength(this.pieces[i]));
      bytes.set(this.part(i, at, stop), at - start);
      at = stop;
    }
    return bytes;
  }

  readInto(start: number, into: Uint8Array): void {
    into.set(this.read(start, start + into.length));
  }

  /** The files that pieces lie in belong to who opened them. */
  close(): void {}

  private part(i: number, start: number, end: number): Uint8Array {
    if (start === end) return new Uint8Array(0);
    const piece = this.pieces[i];
    const [from, to] = [start - this.starts[i], end - this.starts[i]];
    return piece instanceof Uint8Array
      ? piece.subarray(from, to)
      : piece.source.read(piece.start + from, piece.start + to);
  }

  /** The last piece that starts at the offset or before. */
  private pieceAt(offset: number): number {
    let [low, high] = [0, this.starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
