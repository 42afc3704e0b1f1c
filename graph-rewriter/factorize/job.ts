import { setImmediate as turn } from 'node:timers/promises';
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

/** Called between chunks of work: reports the share done, lets others have the thread, or stops. */
export async function checkpoint(job: Job, fraction: number): Promise<void> {
  await turn();
  if (job.signal?.aborted)
    throw new BlockrankError('ABORTED', 'factorization was aborted', { cause: job.signal.reason });
  job.onProgress?.(fraction);
}
