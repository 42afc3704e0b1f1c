// Runs of the decoder to calibrate on, as `test_data_set` folders: whole transcripts, and single tokens behind a cache.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';
import type * as ort from 'onnxruntime-node';
import { seededRandom } from '../../../src/inputs/random.js';
import { type Feeds, nextFeeds, transcribe, wholeFeeds } from './speech.js';

const { onnx } = onnxProto;
const { DataType } = onnx.TensorProto;
const TYPES: Readonly<Record<string, number>> = {
  float32: DataType.FLOAT,
  int64: DataType.INT64,
  bool: DataType.BOOL,
};

/** Transcripts drawn from the model's own distribution: more rows than the few recordings have words. */
export async function writeCalibration(
  session: ort.InferenceSession,
  recordings: readonly ort.Tensor[],
  { folder, draws }: { readonly folder: string; readonly draws: number },
): Promise<void> {
  const random = seededRandom(1);
  let sets = 0;
  for (const hidden of recordings)
    for (let drawn = 0; drawn < draws; drawn++) {
      const tokens = await transcribe(session, hidden, (logits) => draw(logits, random()));
      await writeSet(folder, sets++, session, wholeFeeds(session.inputNames, hidden, tokens));
      if (drawn > 0) continue;
      const before = wholeFeeds(session.inputNames, hidden, tokens.slice(0, -1));
      const cache = await session.run(before);
      await writeSet(folder, sets++, session, nextFeeds(hidden, cache, tokens.at(-1)!));
    }
}

function draw(logits: Float32Array, at: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const weights = Float64Array.from(logits, (value) => Math.exp(value - most));
  let left = at * weights.reduce((a, b) => a + b);
  return Math.max(
    0,
    weights.findIndex((weight) => (left -= weight) < 0),
  );
}

async function writeSet(root: string, number: number, session: ort.InferenceSession, feeds: Feeds) {
  const folder = join(root, `test_data_set_${number}`);
  await mkdir(folder, { recursive: true });
  for (const [i, name] of session.inputNames.entries()) {
    const { dims, type, data } = feeds[name];
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    const rawData = new Uint8Array(buffer, byteOffset, byteLength);
    const proto = onnx.TensorProto.encode({ name, dims: [...dims], dataType: TYPES[type], rawData });
    await writeFile(join(folder, `input_${i}.pb`), proto.finish());
  }
}
