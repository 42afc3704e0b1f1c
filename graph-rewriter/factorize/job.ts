import { BlockrankError } from '../errors.js';
import type { Engine } from './engine.js';
import type { Metric } from './metric.js';
import type { FactorizeRequest } from './types.js';

/** A checked request with every default filled in: what the structures' fitters work on. */
export interface Job extends Omit<FactorizeRequest, 'covariance'> {
  readonly engine: Engine;
  readonly metric: Metric;
  readonly seed: number;
}

/** Called between chunks of work: reports the share done, or stops. */
export function checkpoint(job: Job, fraction: number): void {
  if (job.signal?.aborted)
    throw new BlockrankError('ABORTED', 'factorization was aborted', { cause: job.signal.reason });
  job.onProgress?.(fraction);
}
