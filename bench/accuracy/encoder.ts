/**
 * What a rewritten sentence encoder still gets right, beside its original:
 *
 *   node dist/bench/accuracy/encoder.js --original model.onnx --data folder rewritten.onnx…
 *
 * The folder holds flat little-endian files: minilm-test.i32 (rows of 128 tokens) with -lengths.i32, minilm-lee.i32 (154) with
 * -lengths.i32, and minilm-lee-human.f32, the similarity of each two of its texts by people. An embedding is the mean of the
 * first output over the tokens, of length 1. Printed for each model: mean and least cosine between its embeddings and the
 * original's over the test texts, and the Pearson correlation of the cosines of Lee's pairs with people's judgement.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readFile } from 'node:fs/promises';
import { readGraphInputs } from '../../src/inputs/index.js';
import { readTokenRows, tokenFeeds, type TokenFile } from '../../src/inputs/tokens.js';
import { createSession } from '../../src/session.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    original: { type: 'string' },
    data: { type: 'string' },
    batch: { type: 'string', default: '16' },
  },
});
if (!values.original || !values.data) throw new Error('--original and --data are needed');
await main(values.original, values.data, Number(values.batch));

async function main(original: string, folder: string, batch: number): Promise<void> {
  const file = (name: string, rowLength: number): TokenFile => ({
    path: join(folder, `${name}.i32`),
    lengths: join(folder, `${name}-lengths.i32`),
    rowLength,
    batch,
  });
  const texts = file('minilm-test', 128);
  const lee = file('minilm-lee', 154);
  const people = upperTriangle(await readFloats(join(folder, 'minilm-lee-human.f32')));
  const expected = await embed(original, texts);
  process.stdout.write('| model | mean cosine | least | Pearson (Lee) |\n|---|---|---|---|\n');
  for (const model of [original, ...positionals]) {
    const cosines = (await embed(model, texts)).map((vector, row) => dot(vector, expected[row]));
    const vectors = await embed(model, lee);
    const pairs = vectors.flatMap((a, i) => vectors.slice(i + 1).map((b) => dot(a, b)));
    const cells = [mean(cosines), Math.min(...cosines), pearson(pairs, people)].map((value) =>
      value.toFixed(4),
    );
    process.stdout.write(`| ${[model, ...cells].join(' | ')} |\n`);
  }
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

async function readFloats(path: string): Promise<Float32Array> {
  const bytes = await readFile(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

function upperTriangle(matrix: Float32Array): number[] {
  const size = Math.sqrt(matrix.length);
  return Array.from({ length: size }, (_, i) =>
    Array.from(matrix.subarray(i * size + i + 1, (i + 1) * size)),
  ).flat();
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  const x = a.map((value) => value - ma);
  const y = b.map((value) => value - mb);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
