// Which rows of a tensor count: padding tokens must not enter a covariance.
import type * as Ort from 'onnxruntime-node';
import { BlockrankError } from '../errors.js';

/** The model input that marks padding by zeros in every exporter of token models that we know. */
export const DEFAULT_MASK = 'attention_mask';

type Feeds = Readonly<Record<string, Ort.Tensor>>;

/** The mask input of a model: the one asked for, else `attention_mask` where there is one. */
export function maskInput(
  inputs: ReadonlySet<string>,
  asked: string | false | undefined,
): string | undefined {
  if (asked === false) return undefined;
  if (asked === undefined) return inputs.has(DEFAULT_MASK) ? DEFAULT_MASK : undefined;
  if (inputs.has(asked)) return asked;
  throw new BlockrankError(
    'INVALID_ARGUMENT',
    `the model has no input '${asked}' to tell padding by; its inputs are ${[...inputs].join(', ')}`,
  );
}

/** One byte a row: 0 leaves it out. A tensor of another number of rows than the mask has numbers counts in full. */
export function rowMask(feeds: Feeds, mask: string | undefined, rows: number): Uint8Array {
  const values =
    mask === undefined ? undefined : (feeds[mask]?.data as ArrayLike<number | bigint> | undefined);
  if (values?.length !== rows) return new Uint8Array(rows).fill(1);
  return Uint8Array.from({ length: rows }, (_, row) => (Number(values[row]) === 0 ? 0 : 1));
}
