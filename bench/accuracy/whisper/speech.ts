// Whisper tiny.en as two models: an encoder, and a decoder with and without a cache in the two branches of an If.
import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { halfToNumber } from '../../../src/inputs/half.js';
import { createSession } from '../../../src/session.js';

export type Feeds = Record<string, ort.Tensor>;

const MELS = 80;
const STORED = 800;
const FRAMES = 3000;
/** Start of transcript, no timestamps. */
export const START: readonly number[] = [50257, 50362];
export const END = 50256;

/** Hidden states of each recording; `features` is a file of float16 log-mel features, [recordings, 80, 800]. */
export async function encode(encoder: string, features: string): Promise<ort.Tensor[]> {
  const bytes = await readFile(features);
  const stored = Float32Array.from(
    new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
    halfToNumber,
  );
  const { session } = await createSession(encoder, { logSeverityLevel: 3 });
  const hidden: ort.Tensor[] = [];
  for (let at = 0; at < stored.length; at += MELS * STORED) {
    const whole = Float32Array.from({ length: MELS * FRAMES }, (_, i) => {
      const frame = Math.min(i % FRAMES, STORED - 1);
      return stored[at + Math.floor(i / FRAMES) * STORED + frame];
    });
    const input = new ort.Tensor('float32', whole, [1, MELS, FRAMES]);
    const outputs = await session.run({ [session.inputNames[0]]: input });
    hidden.push(outputs[session.outputNames[0]]);
  }
  await session.release();
  return hidden;
}

/** Of a run over all tokens, in the branch without a cache. */
export function wholeFeeds(names: readonly string[], hidden: ort.Tensor, tokens: readonly number[]): Feeds {
  const none = new ort.Tensor('float32', new Float32Array(6 * 64), [1, 6, 1, 64]);
  return {
    ...Object.fromEntries(names.filter((name) => name.startsWith('past')).map((name) => [name, none])),
    input_ids: new ort.Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
    encoder_hidden_states: hidden,
    use_cache_branch: new ort.Tensor('bool', [false], [1]),
  };
}

/** Of the next token, in the branch with the cache that a run over the tokens before it left. */
export function nextFeeds(hidden: ort.Tensor, outputs: Feeds, token: number): Feeds {
  const past = Object.entries(outputs).flatMap(([name, value]): [string, ort.Tensor][] =>
    name.startsWith('present') ? [[name.replace('present', 'past_key_values'), value]] : [],
  );
  return {
    ...Object.fromEntries(past),
    input_ids: new ort.Tensor('int64', BigInt64Array.of(BigInt(token)), [1, 1]),
    encoder_hidden_states: hidden,
    use_cache_branch: new ort.Tensor('bool', [true], [1]),
  };
}

/** Token by token from `START` to `END`, without a cache; `choose` picks from the last row of logits. */
export async function transcribe(
  session: ort.InferenceSession,
  hidden: ort.Tensor,
  choose: (logits: Float32Array) => number,
  most = 60,
): Promise<number[]> {
  const tokens = [...START];
  while (tokens.length < most) {
    const { logits } = await session.run(wholeFeeds(session.inputNames, hidden, tokens), ['logits']);
    const token = choose(rowsOf(logits).at(-1)!);
    if (token === END) break;
    tokens.push(token);
  }
  return tokens;
}

export function rowsOf(logits: ort.Tensor): Float32Array[] {
  const size = logits.dims.at(-1)!;
  const data = logits.data as Float32Array;
  return Array.from({ length: data.length / size }, (_, row) => data.subarray(row * size, (row + 1) * size));
}

export const argmax = (row: Float32Array) =>
  row.reduce((best, value, i) => (value > row[best] ? i : best), 0);
