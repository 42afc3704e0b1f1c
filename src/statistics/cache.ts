// Remembers what runs of the original model gave, so that the next rewrite of it on the same inputs starts from there.
import { createHash } from 'node:crypto';
import type { InferenceSession } from 'onnxruntime-node';
import type { Covariance } from '../../graph-rewriter/calibration/index.js';
import type { OutputGradients } from '../../graph-rewriter/gradient/index.js';
import type { ModelInfo } from '../../graph-rewriter/types.js';
import type { Feeds } from '../calibrate.js';
import type { OnProgress } from '../progress.js';
import { identityOf } from './identity.js';
import { Store, type Entry } from './store.js';

/** How a result becomes an entry and back; both exact, so that a remembered result gives the same bytes. */
export interface Codec<T> {
  encode(value: T): Entry;
  decode(entry: Entry): T;
}

export interface StatisticsCacheOptions {
  /** Folder, false for none. None when absent. */
  readonly cache?: string | false;
  readonly mask?: string | false;
  /** Other providers and threads round otherwise. */
  readonly sessionOptions?: InferenceSession.SessionOptions;
  readonly onProgress?: OnProgress;
}

export class StatisticsCache {
  private constructor(
    private readonly store: Store | undefined,
    private readonly identity: string,
  ) {}

  static open(
    info: ModelInfo,
    inputs: readonly Feeds[],
    { cache = false, mask, sessionOptions, onProgress }: StatisticsCacheOptions,
  ): StatisticsCache {
    if (cache === false) return new StatisticsCache(undefined, '');
    const damaged = (path: string) =>
      onProgress?.({ step: `damaged, computed again: ${path}`, done: 0, total: 1 });
    const identity = JSON.stringify([identityOf(info, inputs), mask, sessionOptions]);
    return new StatisticsCache(new Store(cache, undefined, damaged), identity);
  }

  /** What `make` gives for `what` (JSON: all options that matter), from disk where it was made before. */
  async remember<T>(what: unknown, codec: Codec<T>, make: () => Promise<T>): Promise<T> {
    if (this.store === undefined) return make();
    const key = createHash('sha256')
      .update(JSON.stringify([this.identity, what]))
      .digest('hex');
    const known = await this.store.get(key);
    if (known !== undefined) return codec.decode(known);
    const made = await make();
    await this.store.put(key, codec.encode(made));
    return made;
  }
}

/** Triangles of the symmetric matrices, row by row. */
export const covariancesCodec: Codec<ReadonlyMap<string, Covariance>> = {
  encode: (covariances) => ({
    meta: [...covariances].map(([key, { size, samples }]) => [key, size, samples]),
    arrays: [...covariances.values()].map(({ size, matrix }) => triangle(matrix, size)),
  }),
  decode: ({ meta, arrays }) =>
    new Map(
      (meta as [string, number, number][]).map(([key, size, samples], i) => [
        key,
        { size, samples, matrix: symmetric(arrays[i] as Float32Array, size) },
      ]),
    ),
};

export const gradientsCodec: Codec<OutputGradients> = {
  encode: ({ energies, loss, blocked }) => ({
    meta: { layers: [...energies.keys()], loss, blocked },
    arrays: [...energies.values()],
  }),
  decode: ({ meta, arrays }) => {
    const { layers, loss, blocked } = meta as Pick<OutputGradients, 'loss' | 'blocked'> & {
      readonly layers: readonly string[];
    };
    const energies = new Map(layers.map((id, i) => [id, arrays[i] as Float64Array] as const));
    return { energies, loss, blocked };
  },
};

function triangle(matrix: Float32Array, size: number): Float32Array {
  const packed = new Float32Array((size * (size + 1)) / 2);
  for (let i = 0, at = 0; i < size; at += ++i) packed.set(matrix.subarray(i * size, i * size + i + 1), at);
  return packed;
}

function symmetric(packed: Float32Array, size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let i = 0, at = 0; i < size; i++)
    for (let j = 0; j <= i; j++, at++) matrix[i * size + j] = matrix[j * size + i] = packed[at];
  return matrix;
}
