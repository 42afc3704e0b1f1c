import { stack, type Engine, type Stack } from '../engine.js';
import type { Loops } from '../loops.js';

/** Doubles of the trailing matrix that are updated at a time: 8 MiB. */
const STRIP = 1 << 20;

/** `Loops.cholesky` with everything but the panels' diagonal blocks as products (right-looking, Golub & Van Loan 4.2.6). */
export async function blockedCholesky(engine: Engine, a: Float64Array, n: number): Promise<boolean> {
  const { loops } = engine;
  if (n <= 2 * loops.panel) return loops.cholesky(a, n, 1);
  for (let start = 0; start < n; start += loops.panel) {
    const end = Math.min(start + loops.panel, n);
    const size = end - start;
    const diagonal = copy(a, n, [start, end], [start, end]);
    if (!loops.cholesky(diagonal, size, 1)) return false;
    paste(a, n, [start, end], [start, end], diagonal);
    if (end === n) break;
    const below = stack(copy(a, n, [end, n], [start, end]), 1, n - end, size);
    const panel = await engine.multiply(
      below,
      stack(inverseOf(loops, diagonal, size), 1, size, size),
      'right',
    );
    paste(a, n, [end, n], [start, end], panel.data);
    await downdate(engine, a, n, end, panel.data, size);
  }
  return true;
}

/** A −= panel·panelᵀ on and below the diagonal, from row and column `first`. */
async function downdate(
  engine: Engine,
  a: Float64Array,
  n: number,
  first: number,
  panel: Float64Array,
  size: number,
): Promise<void> {
  const step = Math.max(engine.loops.panel, Math.floor(STRIP / (n - first)));
  for (let top = first; top < n; top += step) {
    const bottom = Math.min(top + step, n);
    const rows = stack(panel.subarray((top - first) * size, (bottom - first) * size), 1, bottom - top, size);
    const cols = stack(panel.subarray(0, (bottom - first) * size), 1, bottom - first, size);
    const { data } = await engine.multiply(rows, cols, 'right');
    for (let row = top; row < bottom; row++) {
      const from = (row - top) * (bottom - first);
      const to = row * n + first;
      for (let c = 0; c <= row - first; c++) a[to + c] -= data[from + c];
    }
  }
}

/** `Loops.invertLower` by block rows: L⁻¹_i = −L_ii⁻¹·L_i·L⁻¹ over the rows above. */
export async function blockedInvertLower(engine: Engine, l: Float64Array, n: number): Promise<Float64Array> {
  const { loops } = engine;
  if (n <= 2 * loops.panel) return inverseOf(loops, l, n);
  const inverse = new Float64Array(n * n);
  for (let start = 0; start < n; start += loops.panel) {
    const end = Math.min(start + loops.panel, n);
    const size = end - start;
    const diagonal = stack(inverseOf(loops, copy(l, n, [start, end], [start, end]), size), 1, size, size);
    paste(inverse, n, [start, end], [start, end], diagonal.data);
    if (start === 0) continue;
    const left = stack(copy(l, n, [start, end], [0, start]), 1, size, start);
    const above = stack(copy(inverse, n, [0, start], [0, start]), 1, start, start);
    const { data } = await engine.multiply(diagonal, await engine.multiply(left, above));
    for (let at = 0; at < data.length; at++) data[at] = -data[at];
    paste(inverse, n, [start, end], [0, start], data);
  }
  return inverse;
}

/** `blockedInvertLower` of `count` matrices one after another. */
export async function invertLowers(
  engine: Engine,
  l: Float64Array,
  n: number,
  count: number,
): Promise<Stack> {
  const inverses = new Float64Array(count * n * n);
  if (n <= 2 * engine.loops.panel) engine.loops.invertLower(l, n, count, inverses);
  else
    for (let at = 0; at < inverses.length; at += n * n)
      inverses.set(await blockedInvertLower(engine, l.subarray(at, at + n * n), n), at);
  return stack(inverses, count, n, n);
}

function inverseOf(loops: Loops, l: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  loops.invertLower(l, n, 1, inverse);
  return inverse;
}

type Span = readonly [start: number, end: number];

function copy(a: Float64Array, n: number, [top, bottom]: Span, [left, right]: Span): Float64Array {
  const width = right - left;
  const block = new Float64Array((bottom - top) * width);
  for (let row = top; row < bottom; row++)
    block.set(a.subarray(row * n + left, row * n + right), (row - top) * width);
  return block;
}

function paste(
  a: Float64Array,
  n: number,
  [top, bottom]: Span,
  [left, right]: Span,
  block: Float64Array,
): void {
  const width = right - left;
  for (let row = top; row < bottom; row++)
    a.set(block.subarray((row - top) * width, (row - top + 1) * width), row * n + left);
}
