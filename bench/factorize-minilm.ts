/**
 * What factorizing all 36 matrices of a MiniLM sentence encoder does to its embeddings:
 *
 *   node dist/bench/factorize-minilm.js --model minilm.onnx --data folder [--keep 0.8] [--only blast]
 *
 * The folder holds token ids as flat int32, one text a row of 128, with the number of tokens of each row beside them:
 * minilm-calibration.i32, -lengths.i32, minilm-test.i32, -lengths.i32. Weights are replaced by Ŵ in dense form, so this
 * measures the factorization alone. Printed: mean cosine between the embeddings (mean of the last hidden state) of the
 * changed and the original model over the test texts, and the mean errors of the matrices.
 */
import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import { collectCovariances, type Covariance, type Feeds } from '../graph-rewriter/calibration/index.js';
import { createEngine, factorize, reconstruct, type Engine } from '../graph-rewriter/factorize/index.js';
import type { DenseWeight, Method, Structure, StructureSpec } from '../graph-rewriter/factorize/types.js';

const { onnx } = onnxProto;

interface Recipe {
  readonly name: string;
  readonly structure: Structure;
  readonly blocks: number;
  readonly calibrated: boolean;
  readonly method?: Method;
}

const RECIPES: readonly Recipe[] = [
  { name: 'truncated SVD', structure: 'low-rank', blocks: 1, calibrated: false },
  { name: 'whitened SVD', structure: 'low-rank', blocks: 1, calibrated: true },
  { name: 'Monarch b=4, C', structure: 'monarch', blocks: 4, calibrated: true },
  {
    name: 'BLAST b=4, published descent',
    structure: 'blast',
    blocks: 4,
    calibrated: false,
    method: 'precgd',
  },
  { name: 'BLAST b=4, C', structure: 'blast', blocks: 4, calibrated: true },
  { name: 'BLAST b=8, C', structure: 'blast', blocks: 8, calibrated: true },
];

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    keep: { type: 'string', default: '0.8' },
    only: { type: 'string', default: '' },
  },
});
if (!options.model || !options.data) throw new Error('--model and --data are needed');
await main(options.model, options.data, Number(options.keep));

async function main(modelPath: string, folder: string, keep: number): Promise<void> {
  const model = onnx.ModelProto.decode(new Uint8Array(await readFile(modelPath)));
  const weights = new Map(model.graph!.initializer!.map((tensor) => [tensor.name!, tensor]));
  const layers = model.graph!.node!.filter(
    ({ opType, input }) => opType === 'MatMul' && weights.has(input![1]),
  );
  const inputs = model.graph!.input!.map(({ name }) => name!);
  const test = batches(await readTexts(folder, 'minilm-test'), inputs);
  const covariances = await collectCovariances({
    modelPath,
    tensors: layers.map(({ input }) => input![0]),
    inputs: batches(await readTexts(folder, 'minilm-calibration'), inputs),
  });
  const original = await embed(modelPath, test);
  const engine = createEngine();
  for (const recipe of RECIPES.filter(({ name }) => name.includes(options.only ?? ''))) {
    const kept = layers.map(({ input }) => weights.get(input![1])!.rawData!);
    const started = performance.now();
    let error = 0;
    for (const { input } of layers)
      error += await replace(engine, weights.get(input![1])!, covariances.get(input![0])!, recipe, keep);
    const seconds = (performance.now() - started) / 1000;
    const cosine = meanCosine(original, await embedChanged(model, test));
    layers.forEach(({ input }, index) => (weights.get(input![1])!.rawData = kept[index]));
    const cells = [
      recipe.name,
      keep,
      cosine.toFixed(4),
      (error / layers.length).toFixed(3),
      seconds.toFixed(0),
    ];
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
  }
}

/** Puts Ŵ in the place of a weight [in, out]; returns its error in the metric of C. */
async function replace(
  engine: Engine,
  tensor: Onnx.ITensorProto,
  { size, samples, matrix }: Covariance,
  { structure, blocks, calibrated, method }: Recipe,
  keep: number,
): Promise<number> {
  const [rows, cols] = tensor.dims!.map(Number);
  const raw = tensor.rawData!;
  const stored = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
  const weight: DenseWeight = { in: rows, out: cols, data: transpose(stored, rows, cols) };
  if (size !== rows || samples < size) throw new Error(`${samples} samples of ${size} features for ${rows}`);
  const perRank =
    structure === 'monarch' ? blocks * (rows + cols) : rows + cols + (blocks > 1 ? blocks ** 2 : 0);
  const spec: StructureSpec = {
    structure,
    rank: Math.floor((keep * rows * cols) / perRank),
    blocksIn: blocks,
    blocksOut: blocks,
  };
  const result = await factorize({
    weight,
    spec,
    engine,
    ...(calibrated ? { covariance: matrix } : {}),
    ...(method ? { method } : {}),
  });
  const dense = transpose(await reconstruct(engine, result.factors), cols, rows);
  tensor.rawData = new Uint8Array(dense.buffer);
  return result.weightedError;
}

async function readTexts(folder: string, name: string): Promise<Int32Array[]> {
  const read = async (file: string) => {
    const bytes = await readFile(join(folder, file));
    return new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  };
  const tokens = await read(`${name}.i32`);
  const lengths = await read(`${name}-lengths.i32`);
  const width = tokens.length / lengths.length;
  return Array.from(lengths, (length, row) => tokens.subarray(row * width, row * width + length));
}

/** Texts of one length together, up to 32: no padding, which must not enter the statistics. */
function batches(texts: readonly Int32Array[], inputs: readonly string[]): Feeds[] {
  const sorted = [...texts].sort((a, b) => a.length - b.length);
  const result: Feeds[] = [];
  for (let start = 0; start < sorted.length;) {
    const { length } = sorted[start];
    let end = start;
    while (end < sorted.length && end < start + 32 && sorted[end].length === length) end++;
    const ids = sorted.slice(start, end).flatMap((text) => Array.from(text, BigInt));
    const tensor = (data: BigInt64Array) => new ort.Tensor('int64', data, [end - start, length]);
    const fill = (name: string) => new BigInt64Array(ids.length).fill(name.includes('mask') ? 1n : 0n);
    result.push(
      Object.fromEntries(
        inputs.map((name) => [name, tensor(name === 'input_ids' ? BigInt64Array.from(ids) : fill(name))]),
      ),
    );
    start = end;
  }
  return result;
}

/** Embeddings of unit length, in the order of the batches. */
async function embed(modelPath: string, inputs: readonly Feeds[]): Promise<Float64Array[]> {
  const session = await ort.InferenceSession.create(modelPath, { logSeverityLevel: 3 });
  const result: Float64Array[] = [];
  for (const feeds of inputs) {
    const { dims, data } = (await session.run(feeds))[session.outputNames[0]];
    const [texts, tokens, size] = dims;
    for (let text = 0; text < texts; text++) {
      const sum = new Float64Array(size);
      for (let at = 0; at < tokens * size; at++)
        sum[at % size] += (data as Float32Array)[text * tokens * size + at];
      const norm = Math.hypot(...sum);
      result.push(sum.map((value) => value / norm));
    }
  }
  await session.release();
  return result;
}

async function embedChanged(model: Onnx.IModelProto, inputs: readonly Feeds[]): Promise<Float64Array[]> {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-bench-'));
  try {
    await writeFile(join(folder, 'model.onnx'), onnx.ModelProto.encode(model).finish());
    return await embed(join(folder, 'model.onnx'), inputs);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function meanCosine(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  return a.reduce((sum, x, n) => sum + x.reduce((dot, value, c) => dot + value * b[n][c], 0), 0) / a.length;
}

function transpose(data: Float32Array, rows: number, cols: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) result[c * rows + r] = data[r * cols + c];
  return result;
}
