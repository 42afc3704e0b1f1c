import { BlockrankError } from './errors.js';

/** Throws ABORTED once the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new BlockrankError('ABORTED', 'Stopped as asked; no file was written.', { cause: signal.reason });
}
