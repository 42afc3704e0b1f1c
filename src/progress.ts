// How long operations tell where they are, and how they are stopped.
import { BlockrankError } from '../graph-rewriter/errors.js';

export interface Progress {
  /** What is being done, for people: 'factorizing', 'comparing'. */
  readonly step: string;
  /** Units done of `total`; may be a fraction of a unit. */
  readonly done: number;
  /** Null where nobody knows. */
  readonly total: number | null;
}

export type OnProgress = (progress: Progress) => void;

/** @throws BlockrankError ABORTED once `signal` is aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new BlockrankError('ABORTED', 'stopped before it was complete', { cause: signal.reason });
  }
}

/** A message for people from whatever was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
