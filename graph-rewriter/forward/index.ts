/**
 * What a change of each layer's output costs the loss, from forward runs alone: noise of a known size is added to one layer's
 * product at a time, and the loss that it makes is measured. Signs at random have the covariance σ² I, so to second order the loss is
 * perError · σ² Σ_o energy_o (Hutchinson's estimator of the trace of the loss's Hessian at that layer; the "one scalar a
 * matrix"), and every channel of a layer gets the mean. No operator needs a rule and no opset is too old.
 */
import type * as Ort from 'onnxruntime-node';
import { maskInput, rowMask } from '../calibration/mask.js';
import { createTappedSession } from '../calibration/tapped-session.js';
import { BlockrankError } from '../errors.js';
import { findExternalTensors } from '../external-tensors.js';
import type { GradientRequest, OutputGradients } from '../gradient/index.js';
import type { Feeds } from '../calibration/index.js';
import type { Loss, Observed } from '../gradient/loss.js';
import { chooseObserved } from '../gradient/observed.js';
import { hasSamples, samplesOf, spread } from '../gradient/samples.js';
import { Model } from '../model.js';
import { loadOnnxRuntime } from '../onnxruntime.js';
import { distributionLoss, type LossOf, squaredLoss } from './loss.js';
import { noiseInput, powerOutput, probedLayers, shapeOutput, withProbes } from './probed-model.js';

/** Noise as a share of the product's root mean square: errors of factors are of this order. */
const AMPLITUDE = 0.1;
/** Rows of outputs that each layer is probed on: all layers on the same ones, so that their ratios are known better than they are. */
const MOST_ROWS = 1024;

interface Probe {
  readonly ids: readonly string[];
  readonly observed: readonly Observed[];
  readonly mask: string | undefined;
  readonly isSplit: boolean;
  readonly external: boolean;
}

/** @throws BlockrankError UNSUPPORTED_MODEL, INVALID_ARGUMENT, INVALID_INPUTS, SESSION, ABORTED */
export async function probeSensitivities(request: GradientRequest): Promise<OutputGradients> {
  const { modelPath: path, sessionOptions, loss: asked } = request;
  if (asked === 'next-token')
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      'The loss next-token needs gradients: choose sensitivity gradient, or the loss distribution.',
    );
  const probe = prepare(request);
  const loss: Loss = probe.observed[0]?.loss ?? 'squared';
  if (probe.ids.length === 0) return { energies: new Map(), loss, blocked: [] };
  const ids = new Set(probe.ids);
  const names = probe.observed.map(({ value }) => value);
  const tapped = (model: Model) => withProbes(model, probedLayers(model, ids), names);
  const session = await createTappedSession({ path, tapped, external: probe.external }, sessionOptions);
  try {
    return { energies: await measure(session, probe, request), loss, blocked: [] };
  } finally {
    await session.release();
  }
}

function prepare({ modelPath, layers, loss, mask }: GradientRequest): Probe {
  const model = Model.open(modelPath);
  try {
    const observed = chooseObserved(model, loss);
    return {
      ids: probedLayers(model, new Set(layers)).map(({ id }) => id),
      observed,
      mask: maskInput(model.graph.inputs, mask),
      isSplit: observed[0]?.loss === 'distribution' && hasSamples(model),
      external: findExternalTensors(model).length > 0,
    };
  } finally {
    model.close();
  }
}

async function measure(
  session: Ort.InferenceSession,
  probe: Probe,
  { inputs, seed = 1, mostRows = MOST_ROWS, signal, onProgress }: GradientRequest,
): Promise<Map<string, Float64Array>> {
  const random = signs(seed);
  const sums = probe.ids.map(() => new Float64Array(0));
  let total = 0;
  for await (const feeds of runsOf(inputs, probe.isSplit)) {
    const { rows, energies } = await probeRun(session, probe, feeds, random, signal);
    energies.forEach((energy, i) => {
      sums[i] = energy.map((value, o) => (sums[i][o] ?? 0) + rows * value);
    });
    total += rows;
    onProgress?.(Math.min(total, mostRows));
    if (total >= mostRows) break;
  }
  if (!(total > 0)) throw new BlockrankError('INVALID_INPUTS', 'no row of the calibration inputs counts');
  return new Map(probe.ids.map((id, i) => [id, sums[i].map((sum) => sum / total)]));
}

/** Batches, or samples, in an order of which every beginning is spread over all. */
async function* runsOf(inputs: GradientRequest['inputs'], isSplit: boolean): AsyncGenerator<Feeds> {
  const all: Feeds[] = [];
  for await (const feeds of inputs) all.push(...(isSplit ? samplesOf(feeds) : [feeds]));
  for (const index of spread(all.length)) yield all[index];
}

/** The energy of every layer on one run's inputs. */
async function probeRun(
  session: Ort.InferenceSession,
  { ids, observed, mask }: Probe,
  feeds: Feeds,
  random: () => number,
  signal: AbortSignal | undefined,
) {
  const { Tensor } = loadOnnxRuntime();
  const zero = new Tensor('float32', Float32Array.of(0), [1]);
  const quiet = { ...feeds, ...Object.fromEntries(ids.map((_, index) => [noiseInput(index), zero])) };
  const names = observed.map(({ value }) => value);
  const known = ids.flatMap((_, index) => [shapeOutput(index), powerOutput(index)]);
  const dense = await run(session, quiet, [...names, ...known]);
  const losses = observed.map(({ value, loss }) => lossOf(dense[value], loss, feeds, mask));
  const energies: Float64Array[] = [];
  let rows = 0;
  for (let index = 0; index < ids.length; index++) {
    if (signal?.aborted)
      throw new BlockrankError('ABORTED', 'the probing of layers was aborted', { cause: signal.reason });
    const dims = Array.from(dense[shapeOutput(index)].data as BigInt64Array, Number);
    const out = dims.at(-1)!;
    const power = (dense[powerOutput(index)].data as Float32Array)[0];
    const sigma = AMPLITUDE * Math.sqrt(power);
    const noise = new Float32Array(dims.reduce((a, b) => a * b, 1)).map(() => sigma * random());
    const changed = await run(
      session,
      { ...quiet, [noiseInput(index)]: new Tensor('float32', noise, dims) },
      names,
    );
    const found = losses.map((loss, i) => loss(changed[names[i]]));
    rows = found[0].rows;
    const loss = found.reduce((sum, each) => sum + (each.rows > 0 ? each.loss / each.rows : 0), 0);
    const perError = observed[0].loss === 'squared' ? 1 : 0.5;
    energies.push(new Float64Array(out).fill(sigma > 0 ? loss / (perError * sigma ** 2 * out) : 0));
  }
  return { rows, energies };
}

function lossOf(dense: Ort.Tensor, loss: Loss, feeds: Feeds, mask: string | undefined): LossOf {
  const [axis] = [Math.max(dense.dims.length - 1, 0)];
  const rows = dense.dims.slice(0, axis).reduce((a, b) => a * b, 1);
  const kept = rowMask(feeds, mask, rows);
  return loss === 'squared' ? squaredLoss(dense, kept) : distributionLoss(dense, kept);
}

async function run(session: Ort.InferenceSession, feeds: Feeds, fetches: string[]) {
  try {
    return await session.run(feeds, fetches);
  } catch (cause) {
    throw new BlockrankError('INVALID_INPUTS', `the calibration inputs could not be run: ${String(cause)}`, {
      cause,
    });
  }
}

/** +1 or −1, evenly: xorshift32 (Marsaglia 2003). */
function signs(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 65536 ? 1 : -1;
  };
}
