// Output as a list of byte ranges: copied from a source, or made in memory.
import protobuf from 'protobufjs/minimal.js';
import type { Source } from './source.js';
import { BYTES } from './scan.js';

export type Piece = Uint8Array | { readonly source: Source; readonly start: number; readonly end: number };

export function pieceLength(piece: Piece): number {
  return piece instanceof Uint8Array ? piece.length : piece.end - piece.start;
}

export function totalLength(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
}

/** A length-delimited field around the pieces. */
export function delimited(field: number, pieces: readonly Piece[]): Piece[] {
  return [lengthPrefix(field, totalLength(pieces)), ...pieces];
}

/** Tag and length; the length may exceed 32 bits, which protobuf's readers will refuse but files need not. */
function lengthPrefix(field: number, length: number): Uint8Array {
  return new protobuf.Writer()
    .uint32(((field << 3) | BYTES) >>> 0)
    .uint64(length)
    .finish();
}

export function varintField(field: number, value: number): Uint8Array {
  return new protobuf.Writer()
    .uint32((field << 3) >>> 0)
    .int64(value)
    .finish();
}

/** Adjacent ranges of one source become one, so that a model's untouched parts are copied in long runs. */
export function coalesce(pieces: Iterable<Piece>): Piece[] {
  const merged: Piece[] = [];
  for (const piece of pieces) {
    const last = merged.at(-1);
    if (pieceLength(piece) === 0) continue;
    if (isRange(last) && isRange(piece) && last.source === piece.source && last.end === piece.start) {
      merged[merged.length - 1] = { source: last.source, start: last.start, end: piece.end };
    } else {
      merged.push(piece);
    }
  }
  return merged;
}

function isRange(piece: Piece | undefined): piece is Exclude<Piece, Uint8Array> {
  return piece !== undefined && !(piece instanceof Uint8Array);
}
