// The whole of a rewrite: inspect, plan, calibrate, factorize, write.
import type { InferenceSession } from 'onnxruntime-node';
import { applyPlan } from '../graph-rewriter/apply.js';
import { factorize } from '../graph-rewriter/factorize/index.js';
import type { FactorizeRequest } from '../graph-rewriter/factorize/types.js';
import { BlockrankError, type ErrorCode } from '../graph-rewriter/errors.js';
import { inspectModel } from '../graph-rewriter/inspect.js';
import { planRewrite } from '../graph-rewriter/plan.js';
import { SequentialPass, type SequentialRequest } from '../graph-rewriter/sequential/index.js';
import type {
  FactorizeLayer,
  LayerInfo,
  ModelInfo,
  PlanOptions,
  RewritePlan,
  RewriteReport,
} from '../graph-rewriter/types.js';
import { tryTarget } from '../graph-rewriter/write-model.js';
import {
  calibrate,
  calibrationFeeds,
  type CalibrationSource,
  type Covariances,
  type Feeds,
  requireSeen,
} from './calibrate.js';
import {
  allocateModel,
  comparedLayers,
  scalesOf,
  type AllocationOptions,
  type OutputScales,
} from './allocate.js';
import { type Device, engineFor, optionsOn } from './device.js';
import type { OnProgress } from './progress.js';
import { StatisticsCache } from './statistics/cache.js';
import { DEFAULT_TOKENS, keepDenseIfSlower } from './speed/keep-dense.js';

export type SequentialOptions = Pick<
  SequentialRequest,
  'alpha' | 'ridge' | 'refit' | 'bias' | 'stateLimit' | 'outputScale' | 'relaxation'
>;

export interface RewriteOptions
  extends
    Omit<PlanOptions, 'structure'>,
    AllocationOptions,
    Pick<FactorizeRequest, 'method' | 'iterations' | 'seed' | 'engine'> {
  /** Applied as it is; the planning options are not used then. */
  readonly plan?: RewritePlan;
  /** Real inputs that the factors are fitted to. Without them the weights alone are approximated. */
  readonly calibration?: CalibrationSource;
  /**
   * Fits each layer to what reaches it through the layers already replaced (docs/sequential.md), which takes two more runs
   * of the model over the calibration inputs. True when absent; without calibration it means nothing.
   */
  readonly sequential?: boolean | SequentialOptions;
  /** The model input whose zeros mark padding, which is left out; `attention_mask` where there is one, false for none. */
  readonly mask?: string | false;
  /**
   * Leave a layer dense where its factors would be slower on this CPU at `tokens`, by measurement (seconds; cached). Default true. Not done for a
   * given plan, nor where the operators cannot be loaded.
   */
  readonly keepDenseIfSlower?: boolean;
  /** Rows of X a run that matter: a token each. Default 1 and 128. */
  readonly tokens?: readonly number[];
  /**
   * Folder that keeps covariances, gradients and spectra of the original model for the next rewrite of it on the same inputs
   * (4 GiB at most; delete it at any time). None when absent or false.
   */
  readonly cache?: string | false;
  /**
   * Where the model runs and the linear algebra is done; the CPU when absent. `cuda` never falls back; `auto` does, and its first
   * progress says why. Results are the same every time on one device, and differ by rounding between devices.
   */
  readonly device?: Device;
  /** For the sessions that run the model: threads, or `executionProviders` in place of `device`. */
  readonly sessionOptions?: InferenceSession.SessionOptions;
  /** Allows the output to be the input itself. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface ModelPlan {
  readonly info: ModelInfo;
  readonly plan: RewritePlan;
  /** The output weights d that the plan was made with, for the fit; absent where no gradients were taken. */
  readonly outputScales?: OutputScales;
}

/**
 * What `rewrite` would do with each layer. With calibration and no rank, ranks are allocated under one budget, which runs the
 * model (docs/factorization.md). Errors as `inspectModel`, `planRewrite` and `allocateModel`.
 */
export async function planModel(
  path: string,
  options: Omit<RewriteOptions, 'overwrite'> = {},
): Promise<ModelPlan> {
  const placed = await onDevice(options);
  const info = await inspectModel(path);
  const { structure, ...rest } = options;
  if (options.plan !== undefined)
    return { info, plan: options.plan, ...(await scalesOf(info, options.plan, placed)) };
  const planning = { ...rest, ...(structure && structure !== 'auto' && { structure }) };
  const uniform = planRewrite(info, planning);
  // Under one budget every layer counts that some rank makes smaller, whatever the share of each.
  const eligible = () => planRewrite(info, { ...planning, keep: 1 });
  const { plan, ...scales } = await allocateModel(info, uniform, eligible, placed);
  if (options.keepDenseIfSlower === false) return { info, plan, ...scales };
  return { info, plan: await keepFaster(info, plan, options), ...scales };
}

async function keepFaster(info: ModelInfo, plan: RewritePlan, options: RewriteOptions): Promise<RewritePlan> {
  const { tokens = DEFAULT_TOKENS, signal, onProgress } = options;
  try {
    return await keepDenseIfSlower(info, plan, { tokens, signal, onProgress });
  } catch (error) {
    // Rewriting needs no operators; a machine that only rewrites may have none.
    if (!(error instanceof BlockrankError) || !LOADER_CODES.includes(error.code)) throw error;
    onProgress?.({ step: `nothing timed: ${error.message.split('\n')[0]}`, done: 1, total: 1 });
    return plan;
  }
}

const LOADER_CODES: readonly ErrorCode[] = [
  'NATIVE_MISSING',
  'LIBRARY_NOT_FOUND',
  'LIBRARY_INVALID',
  'LIBRARY_INCOMPATIBLE',
  'HOOK_FAILED',
  'ORT_NOT_FOUND',
  'ORT_UNSUPPORTED',
];

/**
 * Writes `output`: the model `input` with its dense weights replaced as planned.
 * @throws BlockrankError the codes of inspect, plan, calibration, factorization and apply; ABORTED through `signal`
 */
export async function rewrite(
  input: string,
  output: string,
  options: RewriteOptions = {},
): Promise<RewriteReport> {
  options.onProgress?.({ step: `reading ${input}`, done: 0, total: 1 });
  await tryTarget(input, output, options.overwrite ?? false);
  const held = {
    ...options,
    ...(options.calibration && { calibration: await hold(input, options.calibration) }),
  };
  return rewriteAs(input, output, await planModel(input, held), held);
}

/** Session options and an engine for the device that was asked for, in place of its name. */
async function onDevice<T extends RewriteOptions>({ device, ...options }: T) {
  const { onProgress } = options;
  const sessionOptions = await optionsOn(device, options.sessionOptions, { onProgress });
  return { ...options, sessionOptions, engine: options.engine ?? engineFor(sessionOptions) };
}

/** Carries out what `planModel` decided. */
export async function rewriteAs(
  input: string,
  output: string,
  { info, plan, outputScales }: ModelPlan,
  given: RewriteOptions,
): Promise<RewriteReport> {
  const options = await onDevice(given);
  const { signal, overwrite = false } = options;
  await tryTarget(input, output, overwrite);
  const apply = { overwrite, ...(signal ? { signal } : {}) };
  if (options.calibration !== undefined && options.sequential !== false)
    return rewriteSequentially(
      input,
      output,
      { info, plan, ...(outputScales && { outputScales }) },
      options.calibration,
      options,
    );
  const layers = plannedLayers(info, plan);
  const covariances =
    options.calibration && layers.length > 0
      ? await calibrateCompared(info, plan, await hold(input, options.calibration), options)
      : undefined;
  if (covariances) requireSeen(layers, covariances);
  return applyPlan(input, output, plan, {
    ...apply,
    factorize: factorizer(layers, covariances, options, outputScales),
  });
}

/** Of the layers that the allocation compared, whichever of them stayed dense: another budget finds the same in the cache. */
function calibrateCompared(
  info: ModelInfo,
  plan: RewritePlan,
  inputs: readonly Feeds[],
  options: RewriteOptions,
): Promise<Covariances> {
  const { signal, onProgress, mask, sessionOptions } = options;
  const layers = comparedLayers(info, plan).filter((layer) => layer.factorized === undefined);
  const cache = StatisticsCache.open(info, inputs, options);
  return calibrate(info.path, layers, inputs, { signal, onProgress, mask, sessionOptions, cache });
}

/** Calibration inputs are gone through several times: an iterable that can be read once is kept. */
async function hold(input: string, source: CalibrationSource): Promise<Feeds[]> {
  const inputs: Feeds[] = [];
  for await (const feeds of calibrationFeeds(input, source)) inputs.push(feeds);
  return inputs;
}

async function rewriteSequentially(
  input: string,
  output: string,
  { info, plan, outputScales }: ModelPlan,
  source: CalibrationSource,
  options: RewriteOptions,
): Promise<RewriteReport> {
  const { signal, onProgress, overwrite = false, sequential, mask } = options;
  const { method, iterations, seed, engine, sessionOptions } = options;
  const inputs = await hold(input, source);
  let oneShot: FactorizeLayer | undefined;
  const pass = SequentialPass.open({
    ...(outputScales && { outputScale: outputScales }),
    ...(typeof sequential === 'object' && sequential),
    modelPath: input,
    plan,
    inputs,
    oneShot: (...layer) => oneShot!(...layer),
    onProgress: (step, done, total) => onProgress?.({ step, done, total }),
    ...(method && { method }),
    ...(iterations !== undefined && { iterations }),
    ...(seed !== undefined && { seed }),
    ...(engine && { engine }),
    ...(sessionOptions && { sessionOptions }),
    ...(signal && { signal }),
    ...(mask !== undefined && { mask }),
  });
  try {
    const others = plannedLayers(info, plan).filter((layer) => !pass.covers(layer));
    const covariances =
      others.length > 0
        ? await calibrate(input, others, inputs, {
            signal,
            onProgress,
            mask,
            sessionOptions,
            cache: StatisticsCache.open(info, inputs, options),
          })
        : undefined;
    if (covariances) requireSeen(others, covariances);
    oneShot = factorizer(others, covariances, options, outputScales);
    const { factorize, refit } = pass;
    return await applyPlan(input, output, plan, { factorize, refit, overwrite, ...(signal && { signal }) });
  } finally {
    await pass.close();
  }
}

/** The layers that are to be fitted: factors that a layer has already are not. */
function plannedLayers(info: ModelInfo, plan: RewritePlan): LayerInfo[] {
  const planned = new Set(plan.layers.flatMap((entry) => ('spec' in entry ? [entry.id] : [])));
  return info.layers.filter((layer) => planned.has(layer.id) && layer.factorized === undefined);
}

/** Counts weights: `applyPlan` asks once for each distinct one. */
function factorizer(
  layers: readonly LayerInfo[],
  covariances: Covariances | undefined,
  { method, iterations, seed, engine, signal, onProgress }: RewriteOptions,
  outputScales?: OutputScales,
): FactorizeLayer {
  const total = new Set(layers.map((layer) => layer.weightKey ?? layer.id)).size;
  let finished = 0;
  return async (layer, weight, spec, factorType) => {
    const step = `factorizing ${layer.id}`;
    const seen = covariances?.(layer);
    const outputScale = outputScales?.(layer);
    const result = await factorize({
      weight,
      spec,
      factorType,
      onProgress: (fraction) => onProgress?.({ step, done: finished + fraction, total }),
      ...(method ? { method } : {}),
      ...(iterations === undefined ? {} : { iterations }),
      ...(seed === undefined ? {} : { seed }),
      ...(engine ? { engine } : {}),
      ...(signal ? { signal } : {}),
      ...(seen ? { covariance: seen.matrix } : {}),
      ...(outputScale ? { outputScale } : {}),
    });
    finished++;
    return seen ? { ...result, samples: seen.samples } : result;
  };
}
