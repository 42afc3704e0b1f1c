// Leaves layers dense that factors would make slower on this machine.
import type { LayerInfo, LayerPlan, ModelInfo, RewritePlan } from '../../graph-rewriter/types.js';
import { formatMilliseconds } from '../format.js';
import type { OnProgress } from '../progress.js';
import { machineKey } from './machine.js';
import { TimeCache } from './time-cache.js';
import { timeLayer, type LayerTime } from './time-layer.js';

export interface SpeedOptions {
  /** Rows of X a run: a token each, or a batch's tokens together. */
  readonly tokens: readonly number[];
  readonly threads?: number | undefined;
  /** Where times are kept; the user's cache folder when absent. */
  readonly cache?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

type Planned = Extract<LayerPlan, { spec: unknown }>;

/** Decode and prefill of one sequence. */
export const DEFAULT_TOKENS: readonly number[] = [1, 128];
/** Differences below this are noise, and then fewer bytes decide. */
const NOISE = 1.03;

/**
 * The plan, with the layers kept dense whose factors are slower at the given token counts (in their geometric mean) by measurement on this CPU.
 * Equal layers are timed once; times are cached.
 * @throws BlockrankError the loader's codes where the operators cannot be registered; ABORTED
 */
export async function keepDenseIfSlower(
  info: ModelInfo,
  plan: RewritePlan,
  options: SpeedOptions,
): Promise<RewritePlan> {
  const infos = new Map(info.layers.map((layer) => [layer.id, layer]));
  const cache = await TimeCache.open(machineKey(options.threads), options.cache);
  const planned = plan.layers.filter((entry): entry is Planned => 'spec' in entry);
  const slower = new Map<string, string>();
  for (const [done, entry] of planned.entries()) {
    options.onProgress?.({ step: `timing ${entry.id}`, done, total: planned.length });
    const times = await timesOf(infos.get(entry.id)!, entry, cache, options);
    if (slowdown(times) > NOISE) slower.set(entry.id, describe(times));
  }
  await cache.save();
  const layers = plan.layers.map((entry): LayerPlan => {
    const message = slower.get(entry.id);
    return message === undefined ? entry : { id: entry.id, keep: { code: 'slower-than-dense', message } };
  });
  return { ...plan, layers };
}

async function timesOf(
  { shape, dtype }: LayerInfo,
  { spec, factorType, compute = 'float' }: Planned,
  cache: TimeCache,
  { tokens, threads, signal }: SpeedOptions,
): Promise<LayerTime[]> {
  const layer = { ...shape!, type: dtype === 'float16' ? ('float16' as const) : ('float32' as const) };
  const what = JSON.stringify([layer, spec, factorType, compute]);
  const time = (counts: readonly number[]) =>
    timeLayer(layer, { spec, factorType, compute }, counts, { threads, signal });
  const found = () => tokens.map((count) => cache.get(what, count)!);
  const missing = tokens.filter((count) => cache.get(what, count) === undefined);
  if (missing.length === 0) return found();
  for (const first of await time(missing)) cache.set(what, first);
  // A layer is not given up for a moment in which the machine was busy.
  if (slowdown(found()) > NOISE)
    for (const second of await time(tokens)) cache.set(what, better(second, cache.get(what, second.tokens)!));
  return found();
}

function better(a: LayerTime, b: LayerTime): LayerTime {
  const { min } = Math;
  return {
    tokens: a.tokens,
    dense: min(a.dense, b.dense),
    factorized: min(a.factorized, b.factorized),
  };
}

/** Geometric mean over the token counts of factorized / dense. */
function slowdown(times: readonly LayerTime[]): number {
  const sum = times.reduce((all, { dense, factorized }) => all + Math.log(factorized / dense), 0);
  return Math.exp(sum / times.length);
}

function describe(times: readonly LayerTime[]): string {
  const each = times.map(
    ({ tokens, dense, factorized }) =>
      `${formatMilliseconds(factorized)} against ${formatMilliseconds(dense)} dense at ${tokens} ${tokens === 1 ? 'token' : 'tokens'}`,
  );
  return `Factors are slower here: ${each.join(', ')}. Give other token counts with --tokens, or rewrite it all the same with --no-keep-dense-if-slower.`;
}
