import { stack, type Stack } from './engine.js';

/** Rows of a matrix, handed out in double a chunk at a time so that a large weight is never doubled as a whole. */
export interface RowSource {
  readonly rows: number;
  readonly cols: number;
  /** Rows start … end − 1 as one matrix. */
  read(start: number, end: number): Stack;
}

/** Doubles in one chunk: 8 MiB. */
const CHUNK = 1 << 20;

export function* chunks(source: RowSource): Generator<{ start: number; end: number; values: Stack }> {
  const step = Math.max(1, Math.floor(CHUNK / source.cols));
  for (let start = 0; start < source.rows; start += step) {
    const end = Math.min(start + step, source.rows);
    yield { start, end, values: source.read(start, end) };
  }
}

/** The part of a row-major matrix of `stride` columns that starts at (top, left); row o is multiplied by scale[o]. */
export function submatrix(
  data: Float32Array | Float64Array,
  stride: number,
  [top, bottom]: readonly [number, number],
  [left, right]: readonly [number, number],
  scale?: Float32Array,
): RowSource {
  const cols = right - left;
  return {
    rows: bottom - top,
    cols,
    read(start, end) {
      const values = new Float64Array((end - start) * cols);
      for (let o = start; o < end; o++) {
        const from = (top + o) * stride;
        const row = values.subarray((o - start) * cols, (o - start + 1) * cols);
        row.set(data.subarray(from + left, from + right));
        if (scale) for (let c = 0; c < cols; c++) row[c] *= scale[top + o];
      }
      return stack(values, 1, end - start, cols);
    },
  };
}
