// Multiplies factors out: the dense weight that a node of ours stands for.
import { type Engine, type Stack, stack } from './factorize/engine.js';
import { partition, range } from './factorize/partition.js';
import type { Factors } from './factorize/types.js';

/** Outputs at a time: their rows stay in the second cache while they are turned into columns. */
const OUTPUTS = 256;

/** A part of one block row of Ŵ: U's numbers from `shift` on times `right`, [rank, end − start]. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly shift: number;
  readonly right: Stack;
}

/** Ŵᵀ, [in, out], as MatMul takes it; sums in float64. `interleaved` is Monarch's other output order. */
export async function denseTransposed(
  engine: Engine,
  f: Factors,
  interleaved = false,
): Promise<Float32Array> {
  const w = new Float32Array(f.in * f.out);
  for (let i = 0; i < f.blocksOut; i++) {
    const parts = f.structure === 'monarch' ? monarchParts(f, i) : [blastPart(f, i)];
    const outputs = outputsOfBlock(f, i, interleaved);
    for (let at = 0; at < outputs.length; at += OUTPUTS)
      for (const part of parts) await fill(w, engine, f, outputs.slice(at, at + OUTPUTS), part);
  }
  return w;
}

function outputsOfBlock({ out, blocksOut }: Factors, i: number, interleaved: boolean): number[] {
  const [start, end] = range(partition(out, blocksOut), i);
  const length = interleaved ? Math.ceil((out - i) / blocksOut) : end - start;
  return Array.from({ length }, (_, k) => (interleaved ? i + k * blocksOut : start + k));
}

/** diag(S_i1)·V_1ᵀ … diag(S_ib)·V_bᵀ, [rank, in]; low rank has S = 1. */
function blastPart(f: Factors, i: number): Part {
  const columns = partition(f.in, f.blocksIn);
  const right = Float64Array.from(f.V);
  for (let j = 0; f.S && j < f.blocksIn; j++) {
    const s = (i * f.blocksIn + j) * f.rank;
    const [start, end] = range(columns, j);
    for (let k = 0; k < f.rank; k++) for (let c = start; c < end; c++) right[k * f.in + c] *= f.S[s + k];
  }
  return { start: 0, end: f.in, shift: 0, right: stack(right, 1, f.rank, f.in) };
}

/** V_ij of each input block. */
function monarchParts(f: Factors, i: number): Part[] {
  const columns = partition(f.in, f.blocksIn);
  return Array.from({ length: f.blocksIn }, (_, j) => {
    const [start, end] = range(columns, j);
    const right = new Float64Array(f.rank * (end - start));
    for (let k = 0; k < f.rank; k++) {
      const row = (i * f.rank + k) * f.in;
      right.set(f.V.subarray(row + start, row + end), k * (end - start));
    }
    return { start, end, shift: j * f.rank, right: stack(right, 1, f.rank, end - start) };
  });
}

async function fill(
  w: Float32Array,
  engine: Engine,
  f: Factors,
  outputs: readonly number[],
  { start, end, shift, right }: Part,
): Promise<void> {
  const stride = f.structure === 'monarch' ? f.blocksIn * f.rank : f.rank;
  const u = new Float64Array(outputs.length * f.rank);
  for (const [row, o] of outputs.entries())
    u.set(f.U.subarray(o * stride + shift, o * stride + shift + f.rank), row * f.rank);
  const { data } = await engine.multiply(stack(u, 1, outputs.length, f.rank), right);
  for (let c = start; c < end; c++)
    for (let row = 0; row < outputs.length; row++)
      w[c * f.out + outputs[row]] = data[row * (end - start) + c - start];
}
