// Times one layer, dense and factorized, turn by turn in the application's own onnxruntime-node.
import type * as ort from 'onnxruntime-node';
import { encodeFloats } from '../../graph-rewriter/floats.js';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import { throwIfAborted } from '../progress.js';
import { withPlugin } from '../validation/plugin.js';
import { layerModel, type TimedLayer, type TimedWeight } from './layer-model.js';

export interface LayerTime {
  readonly tokens: number;
  /** Milliseconds a run, best of several. */
  readonly dense: number;
  readonly factorized: number;
}

export interface TimeLayerOptions {
  /** Intra-op threads; ONNX Runtime's default when absent. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Weights that are used once a run come from memory, not from caches: in a whole model other layers push them out. */
const OUT_OF_CACHE = 48 << 20;
/** Sessions of more nodes take long to create; so many small layers are as many as a model has. */
const MOST_COPIES = 96;
/** From here on arithmetic decides, and one copy is enough. */
const MANY_TOKENS = 32;
const ROUNDS = 7;
const LEAST_MILLISECONDS = 6;

/** @throws BlockrankError the loader's codes where the operators cannot be registered; ABORTED */
export async function timeLayer(
  layer: TimedLayer,
  weight: Exclude<TimedWeight, 'dense'>,
  tokenCounts: readonly number[],
  options: TimeLayerOptions = {},
): Promise<LayerTime[]> {
  const times: LayerTime[] = [];
  for (const few of [true, false]) {
    const counts = tokenCounts.filter((tokens) => tokens < MANY_TOKENS === few);
    if (counts.length === 0) continue;
    const pair = [];
    try {
      for (const form of ['dense', weight] as const) pair.push(await open(layer, form, few, options));
      for (const tokens of counts) {
        throwIfAborted(options.signal);
        const [dense, factorized] = await timePair(pair, input(layer, tokens));
        times.push({ tokens, dense, factorized });
      }
    } finally {
      for (const { session } of pair) await session.release();
    }
  }
  return times.sort((a, b) => a.tokens - b.tokens);
}

interface Opened {
  readonly session: ort.InferenceSession;
  readonly copies: number;
}

async function open(
  layer: TimedLayer,
  weight: TimedWeight,
  few: boolean,
  { threads }: TimeLayerOptions,
): Promise<Opened> {
  const bytes = layerModel(layer, weight, 1).length;
  const copies = few ? Math.min(MOST_COPIES, Math.ceil(OUT_OF_CACHE / bytes)) : 1;
  const session = await withPlugin(weight !== 'dense', () =>
    loadOnnxRuntime().InferenceSession.create(layerModel(layer, weight, copies), {
      logSeverityLevel: 3,
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
      extra: { session: { force_spinning_stop: '1' } },
    }),
  );
  return { session, copies };
}

function input({ in: inputs, type }: TimedLayer, tokens: number): ort.Tensor {
  const values = Float32Array.from({ length: tokens * inputs }, (_, i) => Math.sin(i));
  const { Tensor } = loadOnnxRuntime();
  if (type === 'float32') return new Tensor('float32', values, [tokens, inputs]);
  const bytes = encodeFloats(values, 'float16').slice();
  return new Tensor('float16', new Uint16Array(bytes.buffer), [tokens, inputs]);
}

/** The best of alternating turns: whatever else the machine does can only add time. The first turn of each is to warm up. */
async function timePair(pair: readonly Opened[], X: ort.Tensor): Promise<number[]> {
  const times: number[][] = pair.map(() => []);
  for (let round = 0; round <= ROUNDS; round++)
    for (const [index, opened] of pair.entries()) {
      const time = await timeTurn(opened, X);
      if (round > 0) times[index].push(time);
    }
  return times.map((turns) => Math.min(...turns));
}

async function timeTurn({ session, copies }: Opened, X: ort.Tensor): Promise<number> {
  const start = performance.now();
  let runs = 0;
  let elapsed: number;
  do {
    await session.run({ X });
    runs++;
    elapsed = performance.now() - start;
  } while (elapsed < LEAST_MILLISECONDS);
  return elapsed / runs / copies;
}
