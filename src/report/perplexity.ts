// The loss of a language model on the tokens that it was fed, from its logits.
import type * as ort from 'onnxruntime-node';

/** Fewer classes than this are no vocabulary. */
const LEAST_VOCABULARY = 256;

/**
 * Σ −ln p(token t+1 | tokens 0 … t) in float64, for logits [batch, tokens, vocabulary] and an integer input [batch, tokens] whose
 * values are all in the vocabulary. No tokens where the model is none of that kind.
 */
export function nextTokenLoss(
  inputs: Readonly<Record<string, ort.Tensor>>,
  dims: readonly number[],
  logits: ArrayLike<number>,
  counts: (row: number) => boolean,
): { sum: number; tokens: number } {
  const total = { sum: 0, tokens: 0 };
  const [batch, length, vocabulary] = dims;
  if (dims.length !== 3 || vocabulary < LEAST_VOCABULARY) return total;
  const ids = tokenIds(inputs, batch, length, vocabulary);
  if (!ids) return total;
  for (let row = 0; row < batch * length; row++) {
    if (row % length === length - 1 || !counts(row) || !counts(row + 1)) continue;
    total.sum += negativeLogLikelihood(logits, row * vocabulary, vocabulary, ids[row + 1]);
    total.tokens++;
  }
  return total;
}

function tokenIds(
  inputs: Readonly<Record<string, ort.Tensor>>,
  batch: number,
  length: number,
  vocabulary: number,
): number[] | undefined {
  const isIds = ({ type, dims }: ort.Tensor) =>
    (type === 'int64' || type === 'int32') && dims.join() === [batch, length].join();
  const ids = (inputs.input_ids as ort.Tensor | undefined) ?? Object.values(inputs).find(isIds);
  if (!ids || !isIds(ids)) return undefined;
  const values = Array.from(ids.data as ArrayLike<number | bigint>, Number);
  return values.every((id) => id >= 0 && id < vocabulary) ? values : undefined;
}

function negativeLogLikelihood(
  logits: ArrayLike<number>,
  start: number,
  size: number,
  token: number,
): number {
  let largest = -Infinity;
  for (let i = start; i < start + size; i++) largest = Math.max(largest, logits[i]);
  let sum = 0;
  for (let i = start; i < start + size; i++) sum += Math.exp(logits[i] - largest);
  return largest + Math.log(sum) - logits[start + token];
}
