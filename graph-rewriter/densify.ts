// The way back: every ai.blockrank node becomes a plain MatMul again.
import type { DensifyOptions, DensifyReport } from './types.js';

/** Writes a model of standard operators only. Throws INVALID_MODEL, EXTERNAL_DATA, IO, ABORTED. */
export function densifyModel(
  source: string,
  target: string,
  options: DensifyOptions = {},
): Promise<DensifyReport> {
  return Promise.reject(new Error(`not there yet: ${source} ${target} ${options.overwrite ?? false}`));
}
