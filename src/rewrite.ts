// The whole of a rewrite: inspect, plan, calibrate, factorize, write.
import { applyPlan } from '../graph-rewriter/apply.js';
import { factorize } from '../graph-rewriter/factorize/index.js';
import type { FactorizeRequest } from '../graph-rewriter/factorize/types.js';
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
import {
  calibrate,
  calibrationFeeds,
  type CalibrationSource,
  type Covariances,
  type Feeds,
} from './calibrate.js';
import type { OnProgress } from './progress.js';

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
  /** Allows the output to be the input itself. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** What `rewrite` would do with each layer. Errors as `inspectModel` and `planRewrite`. */
export async function planModel(
  path: string,
  options: PlanOptions & Pick<RewriteOptions, 'plan'> = {},
): Promise<{ info: ModelInfo; plan: RewritePlan }> {
  const info = await inspectModel(path);
  return { info, plan: options.plan ?? planRewrite(info, options) };
}

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
  const apply = { overwrite, ...(signal ? { signal } : {}) };
  if (options.calibration !== undefined && options.sequential !== false)
    return rewriteSequentially(input, output, { info, plan }, options.calibration, options);
  const layers = plannedLayers(info, plan);
  const covariances = options.calibration
    ? await calibrate(input, layers, options.calibration, { signal, onProgress })
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
    oneShot: (layer, weight, spec) => oneShot!(layer, weight, spec),
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
      others.length > 0 ? await calibrate(input, others, inputs, { signal, onProgress }) : undefined;
    oneShot = factorizer(others, covariances, options);
    const { factorize, refit } = pass;
    return await applyPlan(input, output, plan, { factorize, refit, overwrite, ...(signal && { signal }) });
  } finally {
    await pass.close();
  }
}

function plannedLayers(info: ModelInfo, plan: RewritePlan): LayerInfo[] {
  const planned = new Set(plan.layers.flatMap((entry) => ('spec' in entry ? [entry.id] : [])));
  return info.layers.filter((layer) => planned.has(layer.id));
}

/** Counts weights: `applyPlan` asks once for each distinct one. */
function factorizer(
  layers: readonly LayerInfo[],
  covariances: Covariances | undefined,
  { method, iterations, seed, engine, signal, onProgress }: RewriteOptions,
): FactorizeLayer {
  const total = new Set(layers.map((layer) => layer.weightKey ?? layer.id)).size;
  let finished = 0;
  return async (layer, weight, spec) => {
    const step = `factorizing ${layer.id}`;
    const covariance = covariances?.(layer);
    const result = await factorize({
      weight,
      spec,
      onProgress: (fraction) => onProgress?.({ step, done: finished + fraction, total }),
      ...(method ? { method } : {}),
      ...(iterations === undefined ? {} : { iterations }),
      ...(seed === undefined ? {} : { seed }),
      ...(engine ? { engine } : {}),
      ...(signal ? { signal } : {}),
      ...(covariance ? { covariance } : {}),
    });
    finished++;
    return result;
  };
}
