/**
 * Ranks of all layers under one budget. To second order, replacing W by Ŵ costs the loss Σ_o energy_o (E C Eᵀ)_oo, which for
 * rank r is what the spectrum of diag(√energy) W C^½ has beyond r: layers are compared in one unit, and bytes go where
 * they save most of it.
 */
import { BlockrankError } from '../errors.js';
import { factorBytes, weightBytes } from '../structure-size.js';
import type { LayerInfo, LayerPlan, ModelInfo, RewritePlan } from '../types.js';
import { chooseAccurate, chooseWithin, total } from './choose.js';
import type { LayerOption } from './options.js';

export { type Measured, withAssumed } from './assumed.js';
export { layerOptions, type Curve, type LayerTime } from './options.js';
export { lowRankTails, monarchTails } from './spectrum.js';

export interface Budget {
  /** Share of the bytes of all weights that the plan would replace. */
  readonly keep?: number;
  /** Of the whole model, with its external data. */
  readonly maxBytes?: number;
  /** Predicted rise of the loss, in the unit of `Prediction.loss`. */
  readonly maxError?: number;
}

/** What is known of one distinct weight. */
export interface WeightOptions {
  readonly layer: LayerInfo;
  readonly options: readonly LayerOption[];
  /** tr(A C Aᵀ), A = diag(d) W: what errors are relative to. */
  readonly energy: number;
  /** False where no gradient reached it (assumed.ts). */
  readonly isMeasured: boolean;
}

/**
 * The plan with the ranks of those layers that options are known of chosen anew; others keep what the plan gives them, within the budget.
 * Pure. @throws BlockrankError INVALID_ARGUMENT for a budget that cannot be met, with the least that can
 */
export function allocate(
  info: ModelInfo,
  plan: RewritePlan,
  weights: readonly WeightOptions[],
  budget: Budget,
): RewritePlan {
  const known = new Map(weights.map((weight, i) => [keyOf(weight.layer), i]));
  const items = weights.map(({ options }) => options);
  const choice = choose(items, budget, bytesOutside(info, plan, known));
  const layers = new Map(info.layers.map((layer) => [layer.id, layer]));
  return {
    ...plan,
    layers: plan.layers.map((entry): LayerPlan => {
      const at = 'spec' in entry ? known.get(keyOf(layers.get(entry.id)!)) : undefined;
      if (at === undefined || !('spec' in entry)) return entry;
      return decide(entry, weights[at], items[at][choice[at]]);
    }),
  };
}

export const keyOf = (layer: Pick<LayerInfo, 'id' | 'weightKey'>) => layer.weightKey ?? layer.id;

function decide(
  entry: Extract<LayerPlan, { spec: unknown }>,
  { energy, isMeasured }: WeightOptions,
  { spec, loss, error }: LayerOption,
): LayerPlan {
  if (spec === undefined)
    return {
      id: entry.id,
      keep: {
        code: 'worth-its-bytes',
        message: 'Under the budget its bytes save more of the loss here than they would elsewhere.',
      },
    };
  const weightedError = energy > 0 ? Math.sqrt(error / energy) : 0;
  return { ...entry, spec, predicted: { loss, weightedError, ...(!isMeasured && { assumed: true }) } };
}

interface Outside {
  /** Dense and planned bytes of the weights whose ranks are not chosen here. */
  readonly dense: number;
  readonly planned: number;
  /** Bytes of everything else in the model. */
  readonly rest: number;
}

function choose(items: readonly (readonly LayerOption[])[], budget: Budget, outside: Outside) {
  const { keep, maxBytes, maxError } = budget;
  if (maxError !== undefined) {
    const choice = chooseAccurate(items, maxError);
    if (choice !== undefined) return choice;
    throw unmet(`a loss of at most ${maxError}`, 'all weights dense have 0');
  }
  const dense = items.reduce((sum, [first]) => sum + first.cost, 0);
  const bytes =
    maxBytes === undefined
      ? (keep ?? 0.5) * (dense + outside.dense) - outside.planned
      : maxBytes - outside.rest - outside.planned;
  const choice = chooseWithin(items, bytes);
  if (choice !== undefined) return choice;
  const cheapest = items.map((options) =>
    options.reduce((at, { cost }, i) => (cost < options[at].cost ? i : at), 0),
  );
  const least = total(items, cheapest, 'cost') + outside.planned;
  if (maxBytes !== undefined)
    throw unmet(`a model of ${maxBytes} bytes`, `the least is ${Math.ceil(least + outside.rest)}`);
  const share = Math.ceil((1000 * least) / (dense + outside.dense)) / 1000;
  throw unmet(`to keep ${keep} of the weights' bytes`, `the least is ${share}`);
}

function bytesOutside(info: ModelInfo, plan: RewritePlan, known: ReadonlyMap<string, number>): Outside {
  const entries = new Map(plan.layers.map((entry) => [entry.id, entry]));
  const seen = new Set<string>();
  const sums = { dense: 0, planned: 0, rest: info.bytes };
  for (const layer of info.layers) {
    const entry = entries.get(layer.id);
    if (entry === undefined || !('spec' in entry) || seen.has(keyOf(layer))) continue;
    seen.add(keyOf(layer));
    sums.rest -= weightBytes(layer);
    if (known.has(keyOf(layer))) continue;
    sums.dense += weightBytes(layer);
    sums.planned += factorBytes(layer.shape!, entry.spec, entry.factorType);
  }
  return sums;
}

function unmet(asked: string, least: string): BlockrankError {
  return new BlockrankError(
    'INVALID_ARGUMENT',
    `The budget asks for ${asked}, which cannot be met: ${least}.`,
  );
}
