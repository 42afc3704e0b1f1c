import { BlockrankError } from '../errors.js';
import type { Engine } from './engine.js';
import type { Metric } from './metric.js';
import type { DenseWeight, StructureSpec } from './types.js';

/** A checked request with every default filled in: what the structures' fitters work on. */
export interface Job {
  readonly engine: Engine;
  readonly weight: DenseWeight;
  readonly spec: StructureSpec;
  readonly metric: Metric;
  readonly outputScale?: Float32Array;
  readonly iterations?: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  readonly onProgress: (fraction: number) => void;
}

/** Called between chunks of work: reports the share done, or stops. */
export function checkpoint(job: Job, fraction: number): void {
  if (job.signal?.aborted)
    throw new BlockrankError('ABORTED', 'factorization was aborted', { cause: job.signal.reason });
  job.onProgress(fraction);
}
