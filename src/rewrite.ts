// The whole of a rewrite: inspect, plan, calibrate, factorize, write.
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
} from './calibrate.js';
import type { OnProgress } from './progress.js';
import { DEFAULT_TOKENS, keepDenseIfSlower } from './speed/keep-dense.js';

export type SequentialOptions = Pick<
  SequentialRequest,
  'alpha' | 'ridge' | 'refit' | 'bias' | 'stateLimit' | 'outputScale' | 'relaxation'
>;

export interface RewriteOptions
  extends PlanOptions, Pick<FactorizeRequest, 'method' | 'iterations' | 'seed' | 'engine'> {
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
  /** Allows the output to be the input itself. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** What `rewrite` would do with each layer. Errors as `inspectModel` and `planRewrite`. */
export async function planModel(
  path: string,
  options: Omit<RewriteOptions, 'overwrite'> = {},
): Promise<{ info: ModelInfo; plan: RewritePlan }> {
  const info = await inspectModel(path);
  if (options.plan) return { info, plan: options.plan };
  const plan = planRewrite(info, options);
  return { info, plan: options.keepDenseIfSlower === false ? plan : await keepFaster(info, plan, options) };
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
  const { signal, onProgress, overwrite = false } = options;
  onProgress?.({ step: `reading ${input}`, done: 0, total: 1 });
  const { info, plan } = await planModel(input, options);
  await tryTarget(input, output, overwrite);
  const apply = { overwrite, ...(signal ? { signal } : {}) };
  if (options.calibration !== undefined && options.sequential !== false)
    return rewriteSequentially(input, output, { info, plan }, options.calibration, options);
  const layers = plannedLayers(info, plan);
  const covariances =
    options.calibration && layers.length > 0
      ? await calibrate(input, layers, options.calibration, { signal, onProgress, mask: options.mask })
      : undefined;
  return applyPlan(input, output, plan, { ...apply, factorize: factorizer(layers, covariances, options) });
}

async function rewriteSequentially(
  input: string,
  output: string,
  { info, plan }: { info: ModelInfo; plan: RewritePlan },
  source: CalibrationSource,
  options: RewriteOptions,
): Promise<RewriteReport> {
  const { signal, onProgress, overwrite = false, sequential, mask } = options;
  const { method, iterations, seed, engine } = options;
  const inputs: Feeds[] = [];
  for await (const feeds of calibrationFeeds(input, source)) inputs.push(feeds);
  let oneShot: FactorizeLayer | undefined;
  const pass = SequentialPass.open({
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
    ...(signal && { signal }),
    ...(mask !== undefined && { mask }),
  });
  try {
    const others = plannedLayers(info, plan).filter((layer) => !pass.covers(layer));
    const covariances =
      others.length > 0 ? await calibrate(input, others, inputs, { signal, onProgress, mask }) : undefined;
    oneShot = factorizer(others, covariances, options);
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
): FactorizeLayer {
  const total = new Set(layers.map((layer) => layer.weightKey ?? layer.id)).size;
  let finished = 0;
  return async (layer, weight, spec, factorType) => {
    const step = `factorizing ${layer.id}`;
    const seen = covariances?.(layer);
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
    });
    finished++;
    return seen ? { ...result, samples: seen.samples } : result;
  };
}
