// One layer at several token counts: every variant turn by turn, as medians of rounds.
import * as ort from 'onnxruntime-node';
import { register, unregister } from '../../src/loader/register.js';
import type { BenchLayer } from '../layers.js';
import { layerModel, type Variant, variantBytes } from './models.js';

/** Up to this many tokens a run goes through copies of the layer until weights come from memory. */
const FEW_TOKENS = 16;
const OUT_OF_CACHE = 96 << 20;
/** Above, through as many as together stay in the last-level cache when dense, four at most: as in a network, not alone. */
const IN_CACHE = 24 << 20;
const LEAST_SECONDS = 0.02;
/** Variants that are timed on one thread as well, and from how many tokens on. */
const SCALED: readonly Variant[] = ['dense', 'blast', 'blast-compute-bf16', 'blast-compute-int8'];
const SCALED_TOKENS = 128;

export interface Cell {
  readonly layer: string;
  readonly tokens: number;
  /** Of one layer, without what a run of a model without products takes. */
  readonly milliseconds: Partial<Record<Variant, number>>;
  /** The same on one thread. */
  readonly oneThread?: Partial<Record<Variant, number>>;
  /** 2·in·out over BLAST's operations a token. */
  readonly flopRatio: number;
  /** Dense's bytes over those of each variant. */
  readonly byteRatios: Partial<Record<Variant, number>>;
}

interface Runner {
  readonly variant: Variant;
  readonly threads: number;
  readonly copies: number;
  readonly session: ort.InferenceSession;
  readonly times: number[];
}

export interface Settings {
  readonly variants: readonly Variant[];
  readonly tokens: readonly number[];
  readonly rounds: number;
  readonly threads: number;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

export async function openSession(
  model: Uint8Array,
  threads: number,
  plugin = true,
): Promise<ort.InferenceSession> {
  // A function is inlined only where the operator is unknown.
  if (plugin) register();
  else unregister();
  return ort.InferenceSession.create(model, {
    intraOpNumThreads: threads,
    // A session's idle threads would otherwise spin into the turn of the next one.
    extra: { session: { force_spinning_stop: '1' } },
  });
}

/** Milliseconds of a run: as many as fill LEAST_SECONDS. */
export async function timeRound(
  session: ort.InferenceSession,
  feeds: Record<string, ort.Tensor>,
): Promise<number> {
  const start = performance.now();
  let runs = 0;
  do {
    await session.run(feeds);
    runs++;
  } while (performance.now() - start < LEAST_SECONDS * 1000);
  return (performance.now() - start) / runs;
}

export function waves(tokens: number, size: number): ort.Tensor {
  const values = Float32Array.from({ length: tokens * size }, (_, i) => Math.sin(i));
  return new ort.Tensor('float32', values, [tokens, size]);
}

async function open(layer: BenchLayer, variant: Variant, few: boolean, threads: number): Promise<Runner> {
  const dense = variantBytes(layer, 'dense');
  const copies =
    variant === 'none'
      ? 1
      : few
        ? Math.ceil(OUT_OF_CACHE / variantBytes(layer, variant))
        : Math.min(4, Math.max(1, Math.floor(IN_CACHE / dense)));
  const model = layerModel(layer, variant, copies);
  const session = await openSession(model, threads, variant !== 'blast-plain');
  return { variant, threads, copies, session, times: [] };
}

/** Cells of one layer, each as soon as it is measured. */
export async function* measureLayer(layer: BenchLayer, settings: Settings): AsyncGenerator<Cell> {
  const { variants, threads } = settings;
  for (const few of [true, false]) {
    const group = settings.tokens.filter((tokens) => tokens <= FEW_TOKENS === few);
    if (group.length === 0) continue;
    const runners: Runner[] = [];
    for (const variant of ['none' as const, ...variants])
      runners.push(await open(layer, variant, few, threads));
    if (threads > 1 && group.some((tokens) => tokens >= SCALED_TOKENS))
      for (const variant of SCALED.filter((name) => variants.includes(name)))
        runners.push(await open(layer, variant, few, 1));
    for (const tokens of group) yield await measureCell(layer, tokens, runners, settings);
    for (const { session } of runners) await session.release();
  }
}

async function measureCell(
  layer: BenchLayer,
  tokens: number,
  runners: readonly Runner[],
  { rounds, threads, variants }: Settings,
): Promise<Cell> {
  const { in: n, out: m, blocks: b, rank: r } = layer;
  const active = runners.filter((runner) => runner.threads === threads || tokens >= SCALED_TOKENS);
  const X = waves(tokens, n);
  for (const { times } of runners) times.length = 0;
  for (let round = -1; round < rounds; round++)
    for (const { session, times } of active) {
      const time = await timeRound(session, { X });
      if (round >= 0) times.push(time);
    }
  const empty = median(active[0].times);
  const results = (wanted: number) =>
    Object.fromEntries(
      active
        .filter((runner) => runner.threads === wanted && runner.variant !== 'none')
        .map(({ variant, times, copies }) => [variant, (median(times) - empty) / copies]),
    );
  const dense = variantBytes(layer, 'dense');
  return {
    layer: layer.name,
    tokens,
    milliseconds: results(threads),
    ...(threads > 1 && tokens >= SCALED_TOKENS ? { oneThread: results(1) } : {}),
    flopRatio: (n * m) / (r * (n + m) + b * b * r),
    byteRatios: Object.fromEntries(
      variants.map((variant) => [variant, dense / variantBytes(layer, variant)]),
    ),
  };
}
