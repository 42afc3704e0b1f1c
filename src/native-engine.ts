// Linear algebra by the addon's own loops on every core (src/native/linalg), and by a GPU's products where those are worth the way.
import { availableParallelism } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type Engine,
  productShape,
  type Stack,
  stack,
  type Transpose,
} from '../graph-rewriter/factorize/engine.js';
import type { Loops, Scales } from '../graph-rewriter/factorize/loops.js';
import type { LinearAlgebra } from './loader/addon.js';

/** Multiplications that are done before other work gets the thread: some hundredths of a second. */
const SPELL = 1e9;
/** Bytes that a product on a GPU must save the CPU from, at a copying speed of 5 GB/s and 30 GFLOP/s of a core. */
const WORTH_PER_THREAD = 6;
const LEAST_WORTH = 1e8;

export function nativeEngine(native: LinearAlgebra): Engine {
  native.threads(availableParallelism());
  return {
    loops: nativeLoops(native),
    gram(a, b, rows, n, m) {
      const product = new Float32Array(n * m);
      native.gram(a, b, rows, n, m, product);
      return product;
    },
    async multiply(a, b, transpose = 'none', room) {
      const { batch, rows, depth, columns } = productShape(a, b, transpose);
      const c = stack(room ?? new Float64Array(batch * rows * columns), batch, rows, columns);
      if (batch * rows * depth * columns <= SPELL) multiplyNow(native, a, b, transpose, c);
      else
        for (const [left, right, target] of matrices(a, b, c))
          await inSpells(native, left, right, transpose, target);
      return c;
    },
  };
}

/** Small products on the CPU; those whose operands reach the GPU in less time than the CPU would take, there. */
export function routedEngine(cpu: Engine, gpu: Engine): Engine {
  const worth = WORTH_PER_THREAD * availableParallelism();
  return {
    loops: cpu.loops,
    multiply(a, b, transpose = 'none', room) {
      const { batch, rows, depth, columns } = productShape(a, b, transpose);
      const operations = 2 * batch * rows * depth * columns;
      const bytes = 8 * (a.data.length + b.data.length + batch * rows * columns);
      const engine = operations > LEAST_WORTH && operations > worth * bytes ? gpu : cpu;
      return engine.multiply(a, b, transpose, room);
    },
  };
}

function* matrices(a: Stack, b: Stack, c: Stack): Generator<readonly [Stack, Stack, Stack]> {
  for (let i = 0; i < c.batch; i++) yield [matrix(a, i), matrix(b, i), matrix(c, i)];
}

function matrix({ data, batch, rows, cols }: Stack, index: number): Stack {
  const at = batch === 1 ? 0 : index * rows * cols;
  return stack(data.subarray(at, at + rows * cols), 1, rows, cols);
}

/** A few rows of a at a time: they are rows of c or, of a transposed a, terms of its sums. */
async function inSpells(
  native: LinearAlgebra,
  a: Stack,
  b: Stack,
  transpose: Transpose,
  c: Stack,
): Promise<void> {
  const step = Math.max(
    64,
    Math.floor((SPELL * a.rows) / (c.data.length * (transpose === 'left' ? a.rows : a.cols))),
  );
  for (let start = 0; start < a.rows; start += step) {
    const end = Math.min(start + step, a.rows);
    const part = slice(a, start, end);
    if (transpose === 'left') multiplyNow(native, part, slice(b, start, end), transpose, c, start > 0);
    else multiplyNow(native, part, b, transpose, slice(c, start, end));
    await turn();
  }
}

function slice({ data, cols }: Stack, start: number, end: number): Stack {
  return stack(data.subarray(start * cols, end * cols), 1, end - start, cols);
}

function multiplyNow(
  native: LinearAlgebra,
  a: Stack,
  b: Stack,
  transpose: Transpose,
  c: Stack,
  add = false,
): void {
  const step = (m: Stack) => (m.batch === 1 ? 0 : m.rows * m.cols);
  const [left, right] = [transpose === 'left', transpose === 'right'];
  const depth = left ? a.rows : a.cols;
  native.multiply(a.data, left, step(a), b.data, right, step(b), c.data, c.rows, depth, c.cols, c.batch, add);
}

function nativeLoops(native: LinearAlgebra): Loops {
  const { cholesky, invertLower, solveCholesky, tridiagonalise, transformBack, removeParts } = native;
  const { rowProducts, scaleForms } = native;
  return {
    panel: 1024,
    cholesky,
    invertLower,
    solveCholesky,
    tridiagonalise,
    transformBack,
    removeParts,
    rowProducts,
    scaleForms,
    couple: ({ data, outer, inner }: Scales, ...rest) => native.couple(data, outer, inner, ...rest),
    columnForm: ({ data, outer }: Scales, ...rest) => native.columnForm(data, outer, ...rest),
    addScaleShift: (factor, g, h, { data, outer }: Scales, ...rest) =>
      native.addScaleShift(factor, g, h, data, outer, ...rest),
    addScaledForm: (factor, { data, outer }: Scales, ...rest) =>
      native.addScaledForm(factor, data, outer, ...rest),
  };
}
