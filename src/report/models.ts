// Runs the rewritten model and its rivals beside the original and says how far each one's outputs are.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as ort from 'onnxruntime-node';
import { substituteWeights } from '../../graph-rewriter/substitute.js';
import { loadDataSets, readModelInputs, type InputOptions } from '../inputs/index.js';
import { openSession } from '../inputs/open-session.js';
import { throwIfAborted, type OnProgress } from '../progress.js';
import { withPlugin } from '../validation/plugin.js';
import { Agreement } from './agreement.js';
import { QUANTIZATIONS, quantizeDequantize } from './quantize.js';
import type { LayerReport, ModelAgreement, OutputAgreement, Quantization } from './types.js';

export interface RunOptions {
  readonly inputs?: InputOptions | undefined;
  readonly sessionOptions?: ort.InferenceSession.SessionOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** A model file, and whether it runs with the custom ops. */
interface Runnable {
  readonly path: string;
  readonly plugin: boolean;
}

/** Bytes of the original and the rewritten model. */
export interface Sizes {
  readonly original: number;
  readonly rewritten: number;
}

export async function compareModels(
  original: string,
  rewritten: string,
  layers: readonly LayerReport[],
  sizes: Sizes,
  options: RunOptions,
): Promise<{ models: ModelAgreement[]; kernelError: readonly OutputAgreement[]; dataSets: number }> {
  const dense: Runnable = { path: original, plugin: false };
  const ops: Runnable = { path: rewritten, plugin: true };
  const functions: Runnable = { path: rewritten, plugin: false };
  const self = await compare(dense, dense, 'original', options);
  const models: ModelAgreement[] = [
    { name: 'original', what: 'original', bytes: sizes.original, outputs: self.outputs },
    {
      name: 'rewritten',
      what: 'rewritten',
      bytes: sizes.rewritten,
      outputs: (await compare(dense, ops, 'rewritten', options)).outputs,
    },
  ];
  for (const way of QUANTIZATIONS)
    models.push({
      name: way.name,
      what: 'quantized',
      bytes: quantizedModelBytes(sizes.original, layers, way),
      outputs: await compareQuantized(dense, layers, way, options),
    });
  const kernels = await compare(functions, ops, 'custom ops', options);
  return { models, kernelError: kernels.outputs, dataSets: self.dataSets };
}

/** Two sessions at a time: memory is that of two models. */
async function compare(
  reference: Runnable,
  candidate: Runnable,
  name: string,
  { inputs, sessionOptions, signal, onProgress }: RunOptions,
): Promise<{ outputs: OutputAgreement[]; dataSets: number }> {
  const open = ({ path, plugin }: Runnable) => withPlugin(plugin, () => openSession(path, sessionOptions));
  const first = await open(reference);
  try {
    const second = candidate === reference ? first : await open(candidate);
    try {
      const agreement = new Agreement();
      let dataSets = 0;
      for await (const { inputs: feeds } of loadDataSets(
        readModelInputs(first, reference.path),
        first.outputNames,
        inputs,
      )) {
        throwIfAborted(signal);
        const expected = await first.run(feeds);
        agreement.add(feeds, expected, second === first ? expected : await second.run(feeds));
        onProgress?.({ step: `running ${name}`, done: ++dataSets, total: null });
      }
      return { outputs: agreement.outputs(), dataSets };
    } finally {
      if (second !== first) await second.release();
    }
  } finally {
    await first.release();
  }
}

/** The same layers as were rewritten, quantized instead, in a temporary model that computes in the original's type. */
async function compareQuantized(
  dense: Runnable,
  layers: readonly LayerReport[],
  way: Quantization,
  options: RunOptions,
): Promise<OutputAgreement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-report-'));
  try {
    const path = join(folder, 'quantized.onnx');
    const rewritten = new Set(layers.map(({ id }) => id));
    await substituteWeights(dense.path, path, (layer, weight) =>
      rewritten.has(layer.id) ? quantizeDequantize(weight, way) : undefined,
    );
    return (await compare(dense, { path, plugin: false }, way.name, options)).outputs;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function quantizedModelBytes(original: number, layers: readonly LayerReport[], way: Quantization): number {
  const distinct = [...new Map(layers.map((layer) => [layer.weight, layer])).values()];
  return distinct.reduce(
    (bytes, layer) => bytes - layer.bytesBefore + layer.quantized[way.name].bytes,
    original,
  );
}
