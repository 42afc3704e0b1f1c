// Carries out a plan: factorizes, swaps the nodes, writes the new model.
import type { ApplyOptions, RewritePlan, RewriteReport } from './types.js';

/** Throws INVALID_PLAN when the plan is for another file, INVALID_MODEL, EXTERNAL_DATA, IO, ABORTED, and what `factorize` throws. */
export function applyPlan(
  source: string,
  target: string,
  plan: RewritePlan,
  options: ApplyOptions,
): Promise<RewriteReport> {
  return Promise.reject(
    new Error(`not there yet: ${source} ${target} ${plan.source} ${options.overwrite ?? false}`),
  );
}
