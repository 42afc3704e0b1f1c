/**
 * What a rewritten decoder of Whisper tiny.en, whose layers lie in the two branches of an If, still gets right:
 *
 *   node dist/bench/accuracy/whisper/decoder.js --encoder encoder.onnx --original decoder.onnx --data folder rewritten.onnx…
 *
 * With `--calibration folder` it writes inputs for `blockrank rewrite --calibration` from whisper-calibration.f16 in place of
 * that. Compared on whisper-test.f16 along the original's own greedy transcripts, in each branch: the relative error of the
 * logits, KL(original ‖ rewritten) in nats a token, and how often the most likely token is the same. `--tokenizer tokenizer.json`
 * prints what each hears.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type * as ort from 'onnxruntime-node';
import { createSession } from '../../../src/session.js';
import { writeCalibration } from './calibration.js';
import { figures } from './figures.js';
import { argmax, encode, type Feeds, nextFeeds, rowsOf, START, transcribe, wholeFeeds } from './speech.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    encoder: { type: 'string' },
    original: { type: 'string' },
    data: { type: 'string' },
    calibration: { type: 'string' },
    draws: { type: 'string', default: '4' },
    tokenizer: { type: 'string' },
  },
});
const { encoder, original, data, calibration: folder } = values;
if (!encoder || !original || !data) throw new Error('--encoder, --original and --data are needed');
const { session } = await createSession(original, { logSeverityLevel: 3 });
if (folder) {
  const recordings = await encode(encoder, join(data, 'whisper-calibration.f16'));
  await writeCalibration(session, recordings, { folder, draws: Number(values.draws) });
} else await compare(await encode(encoder, join(data, 'whisper-test.f16')));
await session.release();

async function compare(recordings: readonly ort.Tensor[]): Promise<void> {
  const words = await vocabulary();
  const transcripts: number[][] = [];
  for (const hidden of recordings) transcripts.push(await transcribe(session, hidden, argmax));
  const expected = await logitsOf(session, recordings, transcripts);
  process.stdout.write(
    '| model | branch | relative error | KL, nats a token | same token |\n|---|---|---|---|---|\n',
  );
  for (const path of positionals) {
    const { session: rewritten } = await createSession(path, { logSeverityLevel: 3 });
    const found = await logitsOf(rewritten, recordings, transcripts);
    for (const branch of ['whole', 'cached'] as const)
      process.stdout.write(
        `| ${[path, branch, ...figures(expected[branch], found[branch])].join(' | ')} |\n`,
      );
    for (const hidden of words ? recordings : [])
      process.stdout.write(`    ${words!(await transcribe(rewritten, hidden, argmax))}\n`);
    await rewritten.release();
  }
}

interface Logits {
  /** Of the branch without a cache: all tokens in one run. */
  readonly whole: Float32Array[];
  /** Of the branch with one, token by token. */
  readonly cached: Float32Array[];
}

async function logitsOf(
  model: ort.InferenceSession,
  recordings: readonly ort.Tensor[],
  transcripts: readonly number[][],
): Promise<Logits> {
  const logits: Logits = { whole: [], cached: [] };
  for (const [i, hidden] of recordings.entries()) {
    const tokens = transcripts[i];
    const whole = await model.run(wholeFeeds(model.inputNames, hidden, tokens));
    logits.whole.push(...rowsOf(whole.logits));
    let cache = await model.run(wholeFeeds(model.inputNames, hidden, START));
    for (const token of tokens.slice(START.length)) {
      const next = await model.run(nextFeeds(hidden, cache, token));
      logits.cached.push(...rowsOf(next.logits));
      cache = { ...next, ...encoderCache(cache) };
    }
  }
  return logits;
}

/** The branch with a cache does not give back the encoder's part of it. */
function encoderCache(outputs: Feeds): Feeds {
  return Object.fromEntries(Object.entries(outputs).filter(([name]) => name.includes('.encoder.')));
}

/** Of English alone: `Ġ` stands for a space. */
async function vocabulary(): Promise<((tokens: readonly number[]) => string) | undefined> {
  if (!values.tokenizer) return undefined;
  const { model } = JSON.parse(await readFile(values.tokenizer, 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  const words = new Map(Object.entries(model.vocab).map(([word, id]) => [id, word]));
  return (tokens) =>
    tokens
      .map((token) => words.get(token) ?? '')
      .join('')
      .replaceAll('Ġ', ' ')
      .trim();
}
