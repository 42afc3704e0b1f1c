import { stack, type Engine, type Stack } from './engine.js';
import { partition, range } from './partition.js';
import type { Factors } from './types.js';

/** Ŵ, [out, in], from its factors. */
export async function reconstruct(engine: Engine, factors: Factors): Promise<Float32Array> {
  const dense = new Float32Array(factors.out * factors.in);
  for (let i = 0; i < factors.blocksOut; i++) {
    const [start, end] = range(partition(factors.out, factors.blocksOut), i);
    dense.set((await reconstructRows(engine, factors, i, start, end)).data, start * factors.in);
  }
  return dense;
}

/** Rows start … end − 1 of Ŵ in double, all within block row i. */
export function reconstructRows(
  engine: Engine,
  factors: Factors,
  i: number,
  start: number,
  end: number,
): Promise<Stack> {
  return factors.structure === 'monarch'
    ? monarchRows(engine, factors, i, start, end)
    : blastRows(engine, factors, i, start, end);
}

/** U_i · [diag(s_i1)·V_1ᵀ … diag(s_ib)·V_bᵀ]; low rank has S = 1. */
function blastRows(engine: Engine, f: Factors, i: number, start: number, end: number): Promise<Stack> {
  const { rank } = f;
  const columns = partition(f.in, f.blocksIn);
  const t = Float64Array.from(f.V);
  for (let j = 0; f.S && j < f.blocksIn; j++) {
    const s = f.S.subarray((i * f.blocksIn + j) * rank, (i * f.blocksIn + j + 1) * rank);
    const [left, right] = range(columns, j);
    for (let k = 0; k < rank; k++) for (let c = left; c < right; c++) t[k * f.in + c] *= s[k];
  }
  const u = Float64Array.from(f.U.subarray(start * rank, end * rank));
  return engine.multiply(stack(u, 1, end - start, rank), stack(t, 1, rank, f.in));
}

/** [U_i1·V_i1 … U_ib·V_ib] */
async function monarchRows(
  engine: Engine,
  f: Factors,
  i: number,
  start: number,
  end: number,
): Promise<Stack> {
  const { rank } = f;
  const rows = end - start;
  const result = new Float64Array(rows * f.in);
  for (let j = 0; j < f.blocksIn; j++) {
    const [left, right] = range(partition(f.in, f.blocksIn), j);
    const width = right - left;
    const u = new Float64Array(rows * rank);
    for (let o = 0; o < rows; o++) {
      const at = ((start + o) * f.blocksIn + j) * rank;
      u.set(f.U.subarray(at, at + rank), o * rank);
    }
    const v = new Float64Array(rank * width);
    for (let k = 0; k < rank; k++) {
      const row = (i * rank + k) * f.in;
      v.set(f.V.subarray(row + left, row + right), k * width);
    }
    const block = await engine.multiply(stack(u, 1, rows, rank), stack(v, 1, rank, width));
    for (let o = 0; o < rows; o++)
      result.set(block.data.subarray(o * width, (o + 1) * width), o * f.in + left);
  }
  return stack(result, 1, rows, f.in);
}
