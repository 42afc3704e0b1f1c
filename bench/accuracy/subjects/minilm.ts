// A sentence encoder: cosine of its embeddings to the original's, and agreement with people on Lee's pairs of texts.
import { join } from 'node:path';
import { readGraphInputs } from '../../../src/inputs/index.js';
import { readTokenRows, tokenFeeds, type TokenFile } from '../../../src/inputs/tokens.js';
import { createSession } from '../../../src/session.js';
import { dot, mean, pearson, readBytes } from '../numbers.js';
import type { Subject } from './subject.js';

/** Rows of 128 tokens in a run. */
const BATCH = 16;

export const minilm: Subject = {
  model: 'minilm/torchscript-fp32.onnx',
  exclude: ['*pooler*'],
  calibration: (data) => Promise.resolve({ tokens: file(data, 'minilm-calibration', 128, 8) }),
  figures: { 'mean cosine': 'larger', 'least cosine': 'larger', 'Pearson (Lee)': 'larger' },
  judge: judgeEncoder,
};

/** An embedding is the mean of the first output over the tokens, of length 1. */
export async function judgeEncoder(original: string, model: string, data: string, batch = BATCH) {
  const texts = file(data, 'minilm-test', 128, batch);
  const expected = await embed(original, texts);
  const cosines = (await embed(model, texts)).map((vector, row) => dot(vector, expected[row]));
  const vectors = await embed(model, file(data, 'minilm-lee', 154, batch));
  const pairs = vectors.flatMap((a, i) => vectors.slice(i + 1).map((b) => dot(a, b)));
  const people = upperTriangle(new Float32Array(await readBytes(join(data, 'minilm-lee-human.f32'))));
  return {
    'mean cosine': mean(cosines),
    'least cosine': Math.min(...cosines),
    'Pearson (Lee)': pearson(pairs, people),
  };
}

function file(folder: string, name: string, rowLength: number, batch: number): TokenFile {
  const path = join(folder, `${name}.i32`);
  return { path, lengths: join(folder, `${name}-lengths.i32`), rowLength, batch };
}

/** Embeddings of unit length, in the order of the file's rows. */
async function embed(model: string, file: TokenFile): Promise<Float64Array[]> {
  const rows = await readTokenRows(file);
  // `tokenFeeds` sorts by length; the same stable sort tells where each row went.
  const order = rows.map((_, row) => row).sort((a, b) => rows[a].length - rows[b].length);
  const { session } = await createSession(model, { logSeverityLevel: 3 });
  const result: Float64Array[] = [];
  let at = 0;
  for await (const feeds of tokenFeeds(readGraphInputs(model), file)) {
    const output = (await session.run(feeds, [session.outputNames[0]]))[session.outputNames[0]];
    const [texts, tokens, size] = output.dims;
    const data = output.data as Float32Array;
    for (let text = 0; text < texts; text++) {
      const row = order[at++];
      const sum = new Float64Array(size);
      for (let i = 0; i < rows[row].length * size; i++) sum[i % size] += data[text * tokens * size + i];
      const norm = Math.hypot(...sum);
      result[row] = sum.map((value) => value / norm);
    }
  }
  await session.release();
  return result;
}

function upperTriangle(matrix: Float32Array): number[] {
  const size = Math.sqrt(matrix.length);
  return Array.from({ length: size }, (_, i) =>
    Array.from(matrix.subarray(i * size + i + 1, (i + 1) * size)),
  ).flat();
}
