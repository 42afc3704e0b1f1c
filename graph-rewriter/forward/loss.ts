// How far outputs are from the original's, in the units that gradients' losses have (gradient/loss.ts).
import type * as Ort from 'onnxruntime-node';
import { decodeFloats, isFloatType } from '../floats.js';

/** Of one run: the losses of all its rows added up, and the number of rows. */
export interface RunLoss {
  readonly loss: number;
  readonly rows: number;
}

export type LossOf = (changed: Ort.Tensor) => RunLoss;

/**
 * KL(dense ‖ changed) to second order in the logits' change δ, in nats: ½ Var_p δ a row, p the dense model's probabilities.
 * One byte of `mask` a row; 0 leaves it out.
 */
export function distributionLoss(dense: Ort.Tensor, mask: Uint8Array): LossOf {
  const logits = numbersOf(dense);
  const size = dense.dims.at(-1)!;
  const p = softmaxRows(logits, size);
  const rows = mask.reduce((sum, keep) => sum + keep, 0);
  return (changed) => {
    const found = numbersOf(changed);
    let loss = 0;
    for (let row = 0; row < mask.length; row++) {
      if (mask[row] === 0) continue;
      let [mean, square] = [0, 0];
      for (let at = row * size; at < (row + 1) * size; at++) {
        const delta = found[at] - logits[at];
        mean += p[at] * delta;
        square += p[at] * delta * delta;
      }
      loss += (square - mean * mean) / 2;
    }
    return { loss, rows };
  };
}

/** ‖δy‖²/‖y‖² of the rows that count, as often as there are such rows: the mean over rows is that of the run. */
export function squaredLoss(dense: Ort.Tensor, mask: Uint8Array): LossOf {
  const y = numbersOf(dense);
  const size = y.length / Math.max(1, mask.length);
  const rows = mask.reduce((sum, keep) => sum + keep, 0);
  const energy = sumOver(mask, size, (at) => y[at] ** 2);
  return (changed) => {
    const found = numbersOf(changed);
    const error = sumOver(mask, size, (at) => (found[at] - y[at]) ** 2);
    return { loss: (rows * error) / (energy > 0 ? energy : 1), rows };
  };
}

function sumOver(mask: Uint8Array, size: number, term: (at: number) => number): number {
  let sum = 0;
  for (let row = 0; row < mask.length; row++)
    if (mask[row] !== 0) for (let at = row * size; at < (row + 1) * size; at++) sum += term(at);
  return sum;
}

function softmaxRows(logits: Float32Array, size: number): Float32Array {
  const p = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += size) {
    let peak = -Infinity;
    for (let at = start; at < start + size; at++) peak = Math.max(peak, logits[at]);
    let sum = 0;
    for (let at = start; at < start + size; at++) sum += p[at] = Math.exp(logits[at] - peak);
    for (let at = start; at < start + size; at++) p[at] /= sum;
  }
  return p;
}

function numbersOf({ type, data }: Ort.Tensor): Float32Array {
  if (type === 'float32') return data as Float32Array;
  if (!isFloatType(type)) throw new RangeError(`a loss of ${type}`);
  const { buffer, byteOffset, byteLength } = data as Uint16Array;
  const result = new Float32Array((data as Uint16Array).length);
  decodeFloats(new Uint8Array(buffer, byteOffset, byteLength), type, result, 0);
  return result;
}
