// `--atol 1e-3 --atol logits:0.1`: tolerances for all outputs and for some by name.
import { BlockrankError } from '../../graph-rewriter/errors.js';
import type { Tolerance } from './compare.js';

/** A rewritten model differs from the original by design, so this passes only near-exact rewrites. */
export const DEFAULT_TOLERANCE: Tolerance = { atol: 1e-3, rtol: 1e-3 };

export interface ToleranceOptions {
  /** For every output that has none of its own; 1e-3 when absent. */
  readonly atol?: number;
  readonly rtol?: number;
  /** By output name. */
  readonly outputs?: Readonly<Record<string, Partial<Tolerance>>>;
}

/**
 * The tolerance of each output.
 * @throws BlockrankError INVALID_ARGUMENT for a name that is no output, a negative tolerance or NaN
 */
export function tolerancesOf(
  outputs: readonly string[],
  options: ToleranceOptions,
): (output: string) => Tolerance {
  const overrides = options.outputs ?? {};
  for (const name of Object.keys(overrides)) {
    if (!outputs.includes(name)) {
      throw new BlockrankError(
        'INVALID_ARGUMENT',
        `a tolerance is given for output '${name}', and the original has ${outputs.map((o) => `'${o}'`).join(', ')}`,
      );
    }
  }
  const defaults = {
    atol: options.atol ?? DEFAULT_TOLERANCE.atol,
    rtol: options.rtol ?? DEFAULT_TOLERANCE.rtol,
  };
  for (const given of [defaults, ...Object.values(overrides)]) {
    for (const [kind, value] of Object.entries(given)) {
      if (!(value >= 0)) {
        throw new BlockrankError(
          'INVALID_ARGUMENT',
          `${kind} must be a number of at least 0, found ${value}`,
        );
      }
    }
  }
  return (output) => ({ ...defaults, ...overrides[output] });
}
