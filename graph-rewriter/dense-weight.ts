// Multiplies factors out: the dense weight that a node of ours stands for.
import type { Factors } from './factorize/types.js';

/** Ŵᵀ, [in, out], as MatMul takes it; sums in float64. `interleaved` is Monarch's other output order. */
export function denseTransposed(f: Factors, interleaved = false): Float32Array {
  const w = new Float32Array(f.in * f.out);
  const rows = f.structure === 'monarch' ? monarchRow(f, interleaved) : blastRow(f);
  const row = new Float64Array(f.out);
  for (let column = 0; column < f.in; column++) {
    row.fill(0);
    rows(column, row);
    w.set(row, column * f.out);
  }
  return w;
}

type AddRow = (column: number, row: Float64Array) => void;

/** Adds S_ij[k] · V[k, c] · U[o, k] over k, for all o. */
function blastRow(f: Factors): AddRow {
  const { rank, out } = f;
  const u = transposed(f.U, out, rank);
  const p = Math.ceil(f.in / f.blocksIn);
  const q = Math.ceil(out / f.blocksOut);
  return (column, row) => {
    const j = Math.floor(column / p);
    for (let k = 0; k < rank; k++) {
      const v = f.V[k * f.in + column];
      for (let i = 0; i < f.blocksOut; i++) {
        const a = v * (f.S === undefined ? 1 : f.S[(i * f.blocksIn + j) * rank + k]);
        const end = Math.min((i + 1) * q, out);
        for (let o = i * q; o < end; o++) row[o] += a * u[k * out + o];
      }
    }
  };
}

/** Adds V[i, k, c] · U[o, j, k] over k, i being the block of o. */
function monarchRow(f: Factors, interleaved: boolean): AddRow {
  const { rank, out, blocksIn, blocksOut } = f;
  const p = Math.ceil(f.in / blocksIn);
  const q = Math.ceil(out / blocksOut);
  return (column, row) => {
    const j = Math.floor(column / p);
    for (let o = 0; o < out; o++) {
      const i = interleaved ? o % blocksOut : Math.floor(o / q);
      for (let k = 0; k < rank; k++)
        row[o] += f.V[(i * rank + k) * f.in + column] * f.U[(o * blocksIn + j) * rank + k];
    }
  };
}

function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) result[c * rows + r] = matrix[r * columns + c];
  return result;
}
