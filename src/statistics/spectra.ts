// What the best factors of each rank leave out of each weight, in the metric of its inputs and output weights.
import { type Curve, keyOf, lowRankTails, monarchTails } from '../../graph-rewriter/allocate/index.js';
import { defaultEngine, type Engine } from '../../graph-rewriter/factorize/engine.js';
import { Metric } from '../../graph-rewriter/factorize/metric.js';
import type { DenseWeight } from '../../graph-rewriter/factorize/types.js';
import { openModel } from '../../graph-rewriter/inline/index.js';
import { findLayers } from '../../graph-rewriter/layers.js';
import { type Blocks, fullRank } from '../../graph-rewriter/structure-size.js';
import type { LayerInfo } from '../../graph-rewriter/types.js';
import { readWeight } from '../../graph-rewriter/weight.js';
import type { Covariances } from '../calibrate.js';
import { type OnProgress, throwIfAborted } from '../progress.js';
import type { Sensitivities } from '../sensitivity.js';
import type { Codec } from './cache.js';

/** A distinct weight and the structures that it may get. */
export interface Candidate {
  readonly layer: LayerInfo;
  readonly blocks: readonly Blocks[];
}

/** By `keyOf` of the layer; weights without inputs are absent. Output weights are 1 where no sensitivity is known. */
export type Spectra = ReadonlyMap<string, readonly Curve[]>;

interface Options {
  readonly engine?: Engine;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export async function measureSpectra(
  path: string,
  candidates: readonly Candidate[],
  covariances: Covariances,
  sensitivities: Sensitivities,
  { engine = defaultEngine(), signal, onProgress }: Options,
): Promise<Spectra> {
  const model = openModel(path);
  try {
    const matches = new Map(findLayers(model).map((layer) => [layer.info.id, layer.match]));
    const spectra = new Map<string, readonly Curve[]>();
    for (const [done, { layer, blocks }] of candidates.entries()) {
      throwIfAborted(signal);
      onProgress?.({ step: `spectrum of ${layer.id}`, done, total: candidates.length });
      const scale = sensitivities.measured(layer) ?? new Float32Array(layer.shape!.out).fill(1);
      const covariance = covariances(layer)?.matrix;
      const weight = covariance && readWeight(matches.get(layer.id)!);
      if (!weight || 'code' in weight) continue;
      const metric = await Metric.of(engine, weight.in, covariance);
      spectra.set(keyOf(layer), await curvesOf(weight, metric, scale, blocks, engine));
    }
    return spectra;
  } finally {
    model.close();
  }
}

async function curvesOf(
  weight: DenseWeight,
  metric: Metric,
  scale: Float32Array,
  candidates: readonly Blocks[],
  engine: Engine,
): Promise<Curve[]> {
  const most = Math.max(...candidates.map((blocks) => fullRank(weight, blocks)));
  const isMonarch = ({ structure }: Blocks) => structure === 'monarch';
  const shared = candidates.every(isMonarch)
    ? undefined
    : await lowRankTails(engine, weight, metric, scale, most);
  const curves: Curve[] = [];
  for (const blocks of candidates)
    curves.push({
      blocks,
      tails: isMonarch(blocks) ? await monarchTails(engine, weight, metric, scale, blocks) : shared!,
    });
  return curves;
}

export const spectraCodec: Codec<Spectra> = {
  encode: (spectra) => ({
    meta: [...spectra].map(([key, curves]) => [key, curves.map(({ blocks }) => blocks)]),
    arrays: [...spectra.values()].flatMap((curves) => curves.map(({ tails }) => tails)),
  }),
  decode: ({ meta, arrays }) => {
    const tails = (arrays as readonly Float64Array[]).values();
    return new Map(
      (meta as [string, Blocks[]][]).map(([key, candidates]) => [
        key,
        candidates.map((blocks) => ({ blocks, tails: tails.next().value! })),
      ]),
    );
  },
};
