// How far logits are from the original's.
import { argmax } from './speech.js';

/** Relative error, KL(expected ‖ found) in nats a row, and how many rows have the same largest. */
export function figures(expected: readonly Float32Array[], found: readonly Float32Array[]): string[] {
  const [error, norm, kl, same] = [0, 0, 0, 0].map((_, figure) =>
    expected.reduce((sum, row, i) => sum + FIGURES[figure](row, found[i]), 0),
  );
  const count = expected.length;
  return [Math.sqrt(error / norm).toFixed(4), (kl / count).toFixed(4), `${same} of ${count}`];
}

const FIGURES: readonly ((a: Float32Array, b: Float32Array) => number)[] = [
  (a, b) => a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0),
  (a) => a.reduce((sum, value) => sum + value ** 2, 0),
  (a, b) => {
    const [p, q] = [logSoftmax(a), logSoftmax(b)];
    return p.reduce((sum, value, i) => sum + Math.exp(value) * (value - q[i]), 0);
  },
  (a, b) => (argmax(a) === argmax(b) ? 1 : 0),
];

function logSoftmax(row: Float32Array): Float64Array {
  const most = row.reduce((a, b) => Math.max(a, b));
  const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most;
  return Float64Array.from(row, (value) => value - total);
}
