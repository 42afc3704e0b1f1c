// What a change of each layer's output costs the loss: from gradients, from forward runs, or taken as equal.
import type { InferenceSession } from 'onnxruntime-node';
import { keyOf } from '../graph-rewriter/allocate/index.js';
import { collectGradients, type Loss } from '../graph-rewriter/gradient/index.js';
import type { LayerInfo, ModelInfo } from '../graph-rewriter/types.js';
import type { Feeds } from './calibrate.js';
import type { OnProgress } from './progress.js';
import { gradientsCodec, type StatisticsCache } from './statistics/cache.js';

export const SENSITIVITIES = ['gradient', 'none'] as const;
export type Sensitivity = (typeof SENSITIVITIES)[number];

export interface Sensitivities {
  /** √energy of each output channel, [out]; undefined where nothing is known. */
  readonly measured: (layer: LayerInfo) => Float32Array | undefined;
  /** The same for the fit: of mean 1. */
  readonly fit: (layer: LayerInfo) => Float32Array | undefined;
  /** Loss for a unit of tr(E C Eᵀ). */
  readonly perError: number;
}

interface Options {
  readonly sensitivity?: Sensitivity;
  readonly loss?: Loss;
  readonly seed?: number;
  readonly mask?: string | false;
  readonly sessionOptions?: InferenceSession.SessionOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** Channels that nothing depends on still count this share of the mean, so that d is positive. */
const FLOOR = 1e-4;

export async function measureSensitivities(
  info: ModelInfo,
  layers: readonly LayerInfo[],
  inputs: readonly Feeds[],
  cache: StatisticsCache,
  { sensitivity = 'gradient', loss, seed, mask, sessionOptions, signal, onProgress }: Options,
): Promise<Sensitivities> {
  if (sensitivity === 'none') return { measured: (layer) => ones(layer), fit: () => undefined, perError: 1 };
  const ids = layers.map(({ id }) => id);
  const gradients = await cache.remember(['gradients', ids, loss, seed], gradientsCodec, () =>
    collectGradients({
      modelPath: info.path,
      layers: ids,
      inputs,
      ...(loss && { loss }),
      ...(seed !== undefined && { seed }),
      ...(mask !== undefined && { mask }),
      ...(sessionOptions && { sessionOptions }),
      ...(signal && { signal }),
      onProgress: (done) => onProgress?.({ step: 'gradients', done, total: inputs.length }),
    }),
  );
  const scales = pooledScales(layers, gradients.energies);
  return {
    measured: (layer) => scales.get(keyOf(layer)),
    fit: (layer) => withMeanOne(scales.get(keyOf(layer))),
    perError: gradients.loss === 'squared' ? 1 : 0.5,
  };
}

/** Layers that share a weight add up. */
function pooledScales(
  layers: readonly LayerInfo[],
  energies: ReadonlyMap<string, Float64Array>,
): Map<string, Float32Array> {
  const sums = new Map<string, Float64Array>();
  for (const layer of layers) {
    const energy = energies.get(layer.id);
    if (energy === undefined) continue;
    const sum = sums.get(keyOf(layer));
    sums.set(keyOf(layer), sum ? sum.map((value, o) => value + energy[o]) : energy);
  }
  const scales = [...sums].flatMap(([key, energy]) => {
    const scale = Float32Array.from(energy, Math.sqrt);
    const floor = FLOOR * mean(scale);
    return floor > 0 ? [[key, scale.map((value) => value + floor)] as const] : [];
  });
  return new Map(scales);
}

function withMeanOne(scale: Float32Array | undefined): Float32Array | undefined {
  const center = scale && mean(scale);
  return scale?.map((value) => value / center!);
}

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
const ones = ({ shape }: LayerInfo) => new Float32Array(shape!.out).fill(1);
