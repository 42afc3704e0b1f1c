import type * as Ort from 'onnxruntime-node';
import type { Feeds } from '../calibration/index.js';
import { behind, createTappedSession } from '../calibration/tapped-session.js';
import { BlockrankError } from '../errors.js';
import { findExternalTensors } from '../external-tensors.js';
import { openModel } from '../inline/index.js';
import type { Model } from '../model.js';
import { energyOutput, gradientModel, type GradientModel, ROWS_OUTPUT } from './gradient-model.js';
import type { Loss } from './loss.js';
import { hasSamples, samplesOf, spread } from './samples.js';

export { LOSSES, type Loss } from './loss.js';

export interface GradientRequest {
  readonly modelPath: string;
  /** Ids of layers (`LayerInfo.id`). */
  readonly layers: readonly string[];
  /** One set of model inputs for each run. */
  readonly inputs: AsyncIterable<Feeds> | Iterable<Feeds>;
  /** Chosen from the model's outputs when absent (loss.ts). */
  readonly loss?: Loss;
  readonly seed?: number;
  /** Rows (positions that count) that are enough; 8192 when absent. Of a list of inputs, samples spread over it are taken. */
  readonly mostRows?: number;
  /** The input whose zeros mark positions that do not count; `attention_mask` where there is one when absent, false for none. */
  readonly mask?: string | false;
  readonly sessionOptions?: Ort.InferenceSession.SessionOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (batches: number) => void;
}

export interface OutputGradients {
  /** By layer id: Σ over a run's rows of g_o², [out], averaged over runs by their rows that count. Layers that no gradient reaches are absent. */
  readonly energies: ReadonlyMap<string, Float64Array>;
  readonly loss: Loss;
  /** Nodes that could not be differentiated, as `MaxPool 'name'`: the loss looks at what enters them. */
  readonly blocked: readonly string[];
}

/**
 * Second moments of the loss's gradient at the layers' outputs: to second order, replacing W by W − E costs the loss
 * ½ Σ_o energy_o (E C Eᵀ)_oo (`distribution`, `next-token`) or the same without the ½ (`squared`), C the second moment of the layer's inputs.
 *
 * The backward pass runs in the model's own session behind its own nodes, so dynamic shapes and any execution provider work.
 * @throws BlockrankError UNSUPPORTED_MODEL, INVALID_ARGUMENT, INVALID_INPUTS, SESSION, ABORTED
 */
export async function collectGradients(request: GradientRequest): Promise<OutputGradients> {
  const { modelPath, layers } = request;
  const model = openModel(modelPath);
  let built: GradientModel;
  let source: Source;
  try {
    built = gradientModel(model, new Set(layers), request);
    // A squared loss is relative to what a run makes: samples alone would count otherwise.
    const isSplit = built.loss !== 'squared' && hasSamples(model);
    source = { external: findExternalTensors(model).length > 0, isSplit };
  } finally {
    model.close();
  }
  const energies = built.layers.length === 0 ? [] : await sumEnergies(request, built, source);
  return {
    energies: new Map(built.layers.map((id, index) => [id, energies[index]])),
    loss: built.loss,
    blocked: built.blocked,
  };
}

interface Source {
  /** The model's weights are in other files. */
  readonly external: boolean;
  /** Runs are of single samples. */
  readonly isSplit: boolean;
}

async function sumEnergies(
  request: GradientRequest,
  { fields, layers }: GradientModel,
  { external, isSplit }: Source,
): Promise<Float64Array[]> {
  const { modelPath: path, signal, mostRows = MOST_ROWS } = request;
  const tapped = (model: Model) => behind(model, fields);
  const session = await createTappedSession({ path, tapped, external }, options(request));
  const sums: Float64Array[] = [];
  let weight = 0;
  try {
    for await (const { feeds, batch, done } of runs(request.inputs, isSplit)) {
      stopIfAborted(signal);
      const { rows, energies } = await run(session, feeds, layers, batch);
      weight += rows;
      energies.forEach((energy, i) => {
        sums[i] ??= new Float64Array(energy.length);
        for (let o = 0; o < energy.length; o++) sums[i][o] += rows * energy[o];
      });
      request.onProgress?.(done);
      if (weight >= mostRows) break;
    }
    stopIfAborted(signal);
  } finally {
    await session.release();
  }
  if (!(weight > 0)) throw new BlockrankError('INVALID_INPUTS', 'no row of the calibration inputs counts');
  return sums.map((sum) => sum.map((value) => value / weight));
}

/** A mean over rows gets nearer by their square root alone, and every row costs two forward passes. */
const MOST_ROWS = 8192;

interface Run {
  readonly feeds: Feeds;
  readonly batch: number;
  /** Batches done after it. */
  readonly done: number;
}

async function* runs(inputs: GradientRequest['inputs'], isSplit: boolean): AsyncGenerator<Run> {
  const split = (feeds: Feeds) => (isSplit ? samplesOf(feeds) : [feeds]);
  if (!Array.isArray(inputs)) {
    let batch = 0;
    for await (const feeds of inputs) {
      const samples = split(feeds);
      for (const [i, sample] of samples.entries())
        yield { feeds: sample, batch, done: batch + (i + 1) / samples.length };
      batch++;
    }
    return;
  }
  const samples = inputs.flatMap((feeds: Feeds, batch) => split(feeds).map((sample) => ({ sample, batch })));
  let done = 0;
  for (const index of spread(samples.length)) {
    const { sample, batch } = samples[index];
    yield { feeds: sample, batch, done: (++done / samples.length) * inputs.length };
  }
}

async function run(session: Ort.InferenceSession, feeds: Feeds, layers: readonly string[], batch: number) {
  const fetches = [...layers.map((_, index) => energyOutput(index)), ROWS_OUTPUT];
  const results = await session.run(feeds, fetches).catch((cause: unknown) => {
    throw invalid(
      batch,
      `could not be differentiated (uniform allocation needs no gradients): ${String(cause)}`,
      cause,
    );
  });
  const rows = (results[ROWS_OUTPUT].data as Float32Array)[0];
  const energies = layers.map((id, index) => {
    const energy = results[energyOutput(index)].data as Float32Array;
    const at = energy.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) throw invalid(batch, `gives layer '${id}' a gradient of ${energy[at]} at output ${at}`);
    return energy;
  });
  return { rows, energies };
}

/** The weights are also read transposed by the backward pass: packed copies for either would double them. */
function options({ sessionOptions = {} }: GradientRequest): Ort.InferenceSession.SessionOptions {
  const extra = (sessionOptions.extra ?? {}) as { session?: Record<string, unknown> };
  return { ...sessionOptions, extra: { ...extra, session: { disable_prepacking: '1', ...extra.session } } };
}

function invalid(batch: number, found: string, cause?: unknown): BlockrankError {
  return new BlockrankError('INVALID_INPUTS', `calibration batch ${batch} ${found}`, { cause });
}

function stopIfAborted(signal?: AbortSignal): void {
  if (signal?.aborted)
    throw new BlockrankError('ABORTED', 'the collection of gradients was aborted', { cause: signal.reason });
}
