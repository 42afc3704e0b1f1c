// A speech encoder: error of its states, and what the original decoder hears in them.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { Feeds } from '../../../src/calibrate.js';
import { halfToNumber } from '../../../src/inputs/half.js';
import { createSession } from '../../../src/session.js';
import { mean, readBytes, relativeError, wordErrorRate } from '../numbers.js';
import type { Subject } from './subject.js';

const MELS = 80;
const STORED = 800;
/** Frames of the model's input: the last stored one is repeated. */
const FRAMES = 3000;
/** Start of transcript, no time stamps; end of text. */
const PROMPT = [50257, 50362];
const END = 50256;
const MOST_TOKENS = 60;

export const whisper: Subject = {
  model: 'whisper_tiny/encoder-torchscript-fp32.onnx',
  exclude: [],
  calibration: (data) => features(join(data, 'whisper-calibration.f16')),
  figures: { 'error of the states': 'smaller', 'word error rate': 'smaller' },
  async judge(original, model, data) {
    const feeds = await features(join(data, 'whisper-test.f16'));
    const expected = await encode(original, feeds);
    const found = await encode(model, feeds);
    const manifest = JSON.parse(await readFile(join(data, 'manifest.json'), 'utf8')) as Record<
      string,
      { transcripts: string[] }
    >;
    const said = manifest['whisper-test.f16'].transcripts;
    const heard = await transcribe(dirname(original), found);
    return {
      'error of the states': mean(
        found.map((states, i) => relativeError(floats(states), floats(expected[i]))),
      ),
      'word error rate': mean(heard.map((text, i) => wordErrorRate(text, said[i]))),
    };
  },
};

const floats = (tensor: Tensor) => tensor.data as Float32Array;

/** One recording a feed. */
async function features(path: string): Promise<Feeds[]> {
  const halves = new Uint16Array(await readBytes(path));
  return Array.from({ length: halves.length / (MELS * STORED) }, (_, recording) => {
    const data = Float32Array.from({ length: MELS * FRAMES }, (_, at) => {
      const frame = Math.min(at % FRAMES, STORED - 1);
      return halfToNumber(halves[(recording * MELS + Math.floor(at / FRAMES)) * STORED + frame]);
    });
    return { input_features: new Tensor('float32', data, [1, MELS, FRAMES]) };
  });
}

async function encode(model: string, feeds: readonly Feeds[]): Promise<Tensor[]> {
  const { session } = await createSession(model, { logSeverityLevel: 3 });
  const states: Tensor[] = [];
  for (const feed of feeds) states.push((await session.run(feed))[session.outputNames[0]]);
  await session.release();
  return states;
}

async function transcribe(folder: string, states: readonly Tensor[]): Promise<string[]> {
  const tokenizer = JSON.parse(await readFile(join(folder, 'source', 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  const words = new Map(Object.entries(tokenizer.model.vocab).map(([text, id]) => [id, text]));
  const { session } = await createSession(join(folder, 'optimum-decoder-merged-fp32.onnx'), {
    logSeverityLevel: 3,
  });
  const texts: string[] = [];
  for (const encoded of states) {
    const ids = [...PROMPT];
    while (ids.length < MOST_TOKENS && ids.at(-1) !== END) ids.push(await nextToken(session, ids, encoded));
    // Byte-level BPE writes a space as Ġ; English has no other bytes beyond ASCII.
    texts.push(
      ids
        .slice(PROMPT.length)
        .map((id) => words.get(id) ?? '')
        .join('')
        .replaceAll('Ġ', ' '),
    );
  }
  await session.release();
  return texts;
}

/** Greedy, without the cache: the decoder's branch for a first call. */
async function nextToken(session: InferenceSession, ids: readonly number[], states: Tensor): Promise<number> {
  const empty = () => new Tensor('float32', new Float32Array(6 * 64), [1, 6, 1, 64]);
  const feeds: Feeds = Object.fromEntries(session.inputNames.map((name) => [name, empty()]));
  feeds.input_ids = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
  feeds.encoder_hidden_states = states;
  feeds.use_cache_branch = new Tensor('bool', [false], [1]);
  const { logits } = await session.run(feeds, ['logits']);
  const size = logits.dims[2];
  const last = floats(logits).subarray((ids.length - 1) * size);
  return last.reduce((best, value, id) => (value > last[best] ? id : best), 0);
}
