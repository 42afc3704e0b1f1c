// Ranks of all layers under one budget: covariances, gradients and spectra of the original model, then the choice.
import type { InferenceSession } from 'onnxruntime-node';
import {
  allocate,
  type Budget,
  type Curve,
  keyOf,
  layerOptions,
  type LayerTime,
  type Measured,
  withAssumed,
  type WeightOptions,
} from '../graph-rewriter/allocate/index.js';
import { chooseBlocks } from '../graph-rewriter/blocks.js';
import { BlockrankError } from '../graph-rewriter/errors.js';
import type { Engine } from '../graph-rewriter/factorize/engine.js';
import type { Structure } from '../graph-rewriter/factorize/types.js';
import { OLDEST_OPSET } from '../graph-rewriter/gradient/builder.js';
import type { Loss } from '../graph-rewriter/gradient/index.js';
import { spread } from '../graph-rewriter/gradient/samples.js';
import type { Blocks } from '../graph-rewriter/structure-size.js';
import type { LayerInfo, LayerPlan, ModelInfo, ReasonCode, RewritePlan } from '../graph-rewriter/types.js';
import { calibrate, type CalibrationSource, calibrationFeeds, type Feeds } from './calibrate.js';
import type { OnProgress } from './progress.js';
import { measureSensitivities, type Sensitivities, type Sensitivity } from './sensitivity.js';
import { StatisticsCache } from './statistics/cache.js';
import { measureSpectra, spectraCodec, type Spectra } from './statistics/spectra.js';

export interface AllocationOptions extends Omit<Budget, 'keep'> {
  /** `auto` chooses among low rank and BLAST for each layer, where ranks are allocated. */
  readonly structure?: Structure | 'auto';
  /**
   * `global` gives bytes to the layers where they save most of the loss, under one budget; `uniform` keeps the same share of
   * every weight. Global when absent and there is calibration, unless a rank is given.
   */
  readonly allocate?: 'global' | 'uniform';
  /** How layers are compared; gradients when absent. */
  readonly sensitivity?: Sensitivity;
  /** What gradients are taken of; chosen from the model's outputs when absent (docs/factorization.md). */
  readonly loss?: Loss;
  /** Where it is given, structures that would be slower than the dense layer are not chosen. */
  readonly time?: LayerTime;
}

interface Request extends AllocationOptions {
  readonly keep?: number;
  readonly rank?: number;
  readonly calibration?: CalibrationSource;
  readonly blocks?: number | readonly [number, number];
  readonly seed?: number;
  readonly mask?: string | false;
  readonly cache?: string | false;
  readonly engine?: Engine;
  readonly sessionOptions?: InferenceSession.SessionOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** Output weights of a layer for its fit, [out], of mean 1; undefined where none are known. */
export type OutputScales = (layer: LayerInfo) => Float32Array | undefined;

/** Layers are compared by these many; their factors are fitted to all rows. */
const ROWS_PER_FEATURE = 10;

type Planned = Extract<LayerPlan, { spec: unknown }>;

/**
 * The uniform plan, or one with its ranks allocated. Before opset 13, where gradients are not built, ranks stay uniform unless something else is asked.
 * @throws BlockrankError INVALID_ARGUMENT for options that need calibration and for a budget that cannot be met; the codes of calibration
 */
export async function allocateModel(
  info: ModelInfo,
  uniform: RewritePlan,
  eligible: () => RewritePlan,
  request: Request,
): Promise<{ plan: RewritePlan; outputScales?: OutputScales }> {
  if (!isGlobal(request) || (info.opset < OLDEST_OPSET && asked(request).length === 0))
    return { plan: uniform };
  const inputs: Feeds[] = [];
  for await (const feeds of calibrationFeeds(info.path, request.calibration!)) inputs.push(feeds);
  const planned = distinct(info, eligible());
  if (planned.length === 0) return { plan: uniform };
  const layers = sharing(info, planned);
  const cache = StatisticsCache.open(info, inputs, request);
  const candidates = planned.map(({ layer, entry }) => ({
    layer,
    blocks: candidateBlocks(layer, entry, info.opset, request),
  }));
  let measured: Sensitivities | undefined;
  const sensitivitiesOf = async () =>
    (measured ??= await measureSensitivities(info, layers, inputs, cache, request));
  const { signal, onProgress, mask, sensitivity, loss, seed, sessionOptions } = request;
  const what = [
    'spectra',
    candidates.map(({ layer, blocks }) => [layer.id, blocks]),
    sensitivity,
    loss,
    seed,
  ];
  const spectra = await cache.remember(what, spectraCodec, async () => {
    const sample = spread(inputs.length).map((index) => inputs[index]);
    const covariances = await calibrate(info.path, layers, sample, {
      rowsPerFeature: ROWS_PER_FEATURE,
      signal,
      onProgress,
      mask,
      sessionOptions,
      cache,
    });
    // Without rows there is nothing to compare; what fits the layers says which saw none.
    if (layers.every((layer) => covariances(layer) === undefined)) return new Map<string, Curve[]>();
    return measureSpectra(info.path, candidates, covariances, await sensitivitiesOf(), request);
  });
  if (spectra.size === 0) return { plan: uniform };
  const sensitivities = await sensitivitiesOf();
  const weights = weightOptions(planned, spectra, sensitivities, request);
  const plan = allocate(info, merged(info, uniform, planned, weights), weights, budgetOf(request));
  return { plan, outputScales: sensitivities.fit };
}

/** What is compared as it is eligible, the rest as uniform ranks have it. */
function merged(
  info: ModelInfo,
  uniform: RewritePlan,
  planned: readonly { layer: LayerInfo; entry: Planned }[],
  weights: readonly WeightOptions[],
): RewritePlan {
  const known = new Set(weights.map(({ layer }) => keyOf(layer)));
  const entries = new Map(planned.map(({ layer, entry }) => [keyOf(layer), entry]));
  const layers = new Map(info.layers.map((layer) => [layer.id, layer]));
  const pick = (entry: LayerPlan): LayerPlan => {
    const key = keyOf(layers.get(entry.id)!);
    return known.has(key) ? { ...entries.get(key)!, id: entry.id } : entry;
  };
  return { ...uniform, layers: uniform.layers.map(pick) };
}

/** The output weights for a plan that was allocated before. */
export async function scalesOf(
  info: ModelInfo,
  plan: RewritePlan,
  request: Request,
): Promise<{ outputScales?: OutputScales }> {
  const isAllocated = plan.layers.some((entry) => 'spec' in entry && entry.predicted !== undefined);
  if (!isAllocated || request.calibration === undefined) return {};
  const inputs: Feeds[] = [];
  for await (const feeds of calibrationFeeds(info.path, request.calibration)) inputs.push(feeds);
  const cache = StatisticsCache.open(info, inputs, request);
  const sensitivities = await measureSensitivities(info, comparedLayers(info, plan), inputs, cache, request);
  return { outputScales: sensitivities.fit };
}

/** The layers that were compared, dense ones too: the same graph gives the same rounding, and the plan the same bytes. */
export function comparedLayers(info: ModelInfo, plan: RewritePlan): LayerInfo[] {
  const compared = new Set(
    plan.layers.flatMap((entry) =>
      'spec' in entry || DENSE_AFTER_COMPARISON.includes(entry.keep.code) ? [entry.id] : [],
    ),
  );
  return info.layers.filter(({ id }) => compared.has(id));
}

const DENSE_AFTER_COMPARISON: readonly ReasonCode[] = ['worth-its-bytes', 'slower-than-dense'];

/** All layers with these weights. */
function sharing(info: ModelInfo, planned: readonly { layer: LayerInfo }[]): LayerInfo[] {
  const keys = new Set(planned.map(({ layer }) => keyOf(layer)));
  return info.layers.filter((layer) => keys.has(keyOf(layer)));
}

/** Options that only a global allocation gives a meaning. */
function asked({ allocate, structure, maxBytes, maxError, sensitivity, loss }: Request): string[] {
  const global = allocate === 'global';
  const asks = {
    allocate: global,
    'structure auto': structure === 'auto',
    maxBytes,
    maxError,
    sensitivity,
    loss,
  };
  return Object.entries(asks).flatMap(([name, value]) => (value ? [name] : []));
}

function isGlobal(request: Request): boolean {
  const { allocate, calibration, rank } = request;
  const options = asked(request);
  const needs = (what: string) =>
    new BlockrankError(
      'INVALID_ARGUMENT',
      `Expected ${what} with ${options.join(', ')}: ranks are allocated to layers by what they cost the model's outputs.`,
    );
  if (options.length > 0 && calibration === undefined) throw needs('calibration inputs');
  if (options.length > 0 && rank !== undefined) throw needs('no rank');
  if (options.length > 0 && allocate === 'uniform') throw needs('no uniform allocation');
  return calibration !== undefined && rank === undefined && allocate !== 'uniform';
}

function budgetOf({ keep, maxBytes, maxError }: Request): Budget {
  const given = Object.entries({ keep, maxBytes, maxError }).filter(([, value]) => value !== undefined);
  if (given.length > 1)
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `Expected one budget; found ${given.map(([name, value]) => `${name} ${value}`).join(' and ')}.`,
    );
  return Object.fromEntries(given);
}

/** The first layer of each weight that the plan replaces. */
function distinct(info: ModelInfo, plan: RewritePlan): { layer: LayerInfo; entry: Planned }[] {
  const layers = new Map(info.layers.map((layer) => [layer.id, layer]));
  const seen = new Set<string>();
  return plan.layers.flatMap((entry) => {
    const layer = layers.get(entry.id)!;
    if (!('spec' in entry) || seen.has(keyOf(layer))) return [];
    seen.add(keyOf(layer));
    return [{ layer, entry }];
  });
}

/** The options of each weight whose spectra are known. */
function weightOptions(
  planned: readonly { layer: LayerInfo; entry: Planned }[],
  spectra: Spectra,
  sensitivities: Sensitivities,
  request: Request,
): WeightOptions[] {
  const found = planned.flatMap(({ layer, entry }): Found[] => {
    const curves = spectra.get(keyOf(layer));
    if (curves === undefined) return [];
    return [{ layer, entry, curves, isMeasured: sensitivities.measured(layer) !== undefined }];
  });
  return optionsOf(found, sensitivities, request);
}

interface Found extends Measured {
  readonly layer: LayerInfo;
  readonly entry: Planned;
}

/** @throws BlockrankError INVALID_ARGUMENT for a predicted loss as the budget where no loss was measured */
function optionsOf(
  found: readonly Found[],
  { perError }: Sensitivities,
  { time, maxError }: Request,
): WeightOptions[] {
  if (maxError !== undefined && found.length > 0 && !found.some(({ isMeasured }) => isMeasured))
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      'Expected keep or maxBytes in place of maxError: no gradient reaches a layer (all are in bodies of If, Loop or Scan), so that no loss can be predicted.',
    );
  return withAssumed(found).map(({ layer, entry, curves, isMeasured }) => ({
    layer,
    options: layerOptions(layer, curves, entry.factorType, { perError, ...(time && { time }) }),
    energy: curves[0].tails[0],
    isMeasured,
  }));
}

/** The plan's own structure; `auto` adds low rank and BLAST in their default blocks. */
function candidateBlocks(layer: LayerInfo, { spec }: Planned, opset: number, request: Request): Blocks[] {
  const own: Blocks = { structure: spec.structure, blocksIn: spec.blocksIn, blocksOut: spec.blocksOut };
  if (request.structure !== 'auto') return [own];
  const blast = chooseBlocks('blast', layer.shape!, request.blocks, opset);
  const lowRank: Blocks = { structure: 'low-rank', blocksIn: 1, blocksOut: 1 };
  return 'code' in blast ? [lowRank] : [lowRank, { structure: 'blast', ...blast }];
}
