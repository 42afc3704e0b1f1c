// Rewriting with factors that are made up.
import { applyPlan } from '../../../graph-rewriter/apply.js';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import type {
  ApplyOptions,
  FactorizeLayer,
  PlanOptions,
  RewriteReport,
} from '../../../graph-rewriter/types.js';
import { randomFactors } from './reference.js';

/** Factors that have nothing to do with the weight, for tests of everything but the numbers. */
export const anyFactors: FactorizeLayer = (_, weight, spec) =>
  Promise.resolve({
    factors: randomFactors({ ...spec, in: weight.in, out: weight.out }, weight.in + 7 * weight.out),
    relativeError: 1,
    weightedError: 1,
  });

export async function rewriteAny(
  source: string,
  target: string,
  plan: PlanOptions = {},
  options: Partial<ApplyOptions> = {},
): Promise<RewriteReport> {
  const info = await inspectModel(source);
  return applyPlan(source, target, planRewrite(info, plan), { factorize: anyFactors, ...options });
}
