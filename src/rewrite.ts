// The whole of a rewrite: inspect, plan, calibrate, factorize, write.
import type * as ort from 'onnxruntime-node';
import { applyPlan } from '../graph-rewriter/apply.js';
import type { FactorizeRequest, Method } from '../graph-rewriter/factorize/types.js';
import { inspectModel } from '../graph-rewriter/inspect.js';
import { planRewrite } from '../graph-rewriter/plan.js';
import type { ModelInfo, PlanOptions, RewritePlan, RewriteReport } from '../graph-rewriter/types.js';
import type { InputOptions } from './inputs/index.js';
import type { OnProgress } from './progress.js';

export type Feeds = Record<string, ort.Tensor>;

export interface RewriteOptions extends PlanOptions {
  /** Applied as it is; the planning options are not used then. */
  readonly plan?: RewritePlan;
  readonly method?: Method;
  readonly iterations?: number;
  readonly seed?: number;
  /** Real inputs that the factors are fitted to: where they are stored, or the feeds themselves. */
  readonly calibration?: InputOptions | AsyncIterable<Feeds>;
  /** Allows the output to be the input itself. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}
export async function planModel(path: string, options: RewriteOptions = {}): Promise<{ info: ModelInfo; plan: RewritePlan }> {
  const info = await inspectModel(path);
  return { info, plan: options.plan ?? planRewrite(info, options) };
}
export function rewrite(input: string, output: string, options: RewriteOptions = {}): Promise<RewriteReport> {
  throw new Error('wip' + String(applyPlan) + input + output + JSON.stringify(options) + JSON.stringify({} as FactorizeRequest));
}
