// A folder of its own for each test, and rewriting with known factors.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { applyPlan } from '../../../graph-rewriter/apply.js';
import type { Factors } from '../../../graph-rewriter/factorize/types.js';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import type {
  ApplyOptions,
  FactorizeLayer,
  FactorType,
  RewritePlan,
  RewriteReport,
} from '../../../graph-rewriter/types.js';
import { denseWeight, randomFactors, relativeDifference } from './reference.js';

export { anyFactors, rewriteAny } from './any.js';

const folders: string[] = [];

export function workspace(): string {
  const folder = mkdtempSync(join(tmpdir(), 'blockrank-test-'));
  folders.push(folder);
  return folder;
}

after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

export function save(bytes: Uint8Array, name = 'model.onnx', folder = workspace()): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

export function sha256(path: string): string {
  return createHash('sha256')
    .update(Uint8Array.from(readFileSync(path)))
    .digest('hex');
}

/** A weight that a structure represents exactly (to float32), in both orientations. */
export interface KnownWeight {
  readonly factors: Factors;
  /** [out, in] */
  readonly outIn: Float32Array;
  /** [in, out] */
  readonly inOut: Float32Array;
}

export function knownWeight(spec: Omit<Factors, 'V' | 'S' | 'U'>, seed: number): KnownWeight {
  return knownFrom(randomFactors(spec, seed));
}

export function knownFrom(factors: Factors): KnownWeight {
  const outIn = Float32Array.from(denseWeight(factors));
  const inOut = new Float32Array(outIn.length);
  for (let o = 0; o < factors.out; o++)
    for (let i = 0; i < factors.in; i++) inOut[i * factors.out + o] = outIn[o * factors.in + i];
  return { factors, outIn, inOut };
}

/** Hands out known factors by the name of the weight, after checking that the rewriter read that weight. */
export function knownFactors(weights: Readonly<Record<string, KnownWeight>>, tolerance = 1e-6) {
  const calls: string[] = [];
  const factorize: FactorizeLayer = (layer, weight) => {
    calls.push(layer.id);
    const known = weights[layer.weight];
    const difference = relativeDifference(weight.data, known.outIn);
    if (!(difference <= tolerance))
      throw new Error(`${layer.weight} was read with a difference of ${difference}`);
    return Promise.resolve({ factors: known.factors, relativeError: 0.125, weightedError: 0.25 });
  };
  return { factorize, calls };
}

/** A plan that gives every layer with a known weight the structure of its factors. */
export async function planFor(
  source: string,
  weights: Readonly<Record<string, KnownWeight>>,
  factorType: FactorType = 'float32',
): Promise<RewritePlan> {
  const info = await inspectModel(source);
  return {
    version: 1,
    source: info.sha256,
    layers: info.layers.map(({ id, weight, reason }) => {
      if (reason !== undefined || weights[weight] === undefined)
        return { id, keep: reason ?? { code: 'kept-by-plan' as const, message: 'test' } };
      const { structure, rank, blocksIn, blocksOut } = weights[weight].factors;
      return { id, spec: { structure, rank, blocksIn, blocksOut }, factorType };
    }),
  };
}

/** Rewrites with known factors, to `out.onnx` beside the source. */
export async function rewriteKnown(
  source: string,
  weights: Readonly<Record<string, KnownWeight>>,
  options: Partial<ApplyOptions> & {
    factorType?: FactorType;
    tolerance?: number;
  } = {},
): Promise<{ target: string; report: RewriteReport; calls: string[] }> {
  const { factorType, tolerance, ...apply } = options;
  const { factorize, calls } = knownFactors(weights, tolerance);
  const target = join(dirname(source), 'out.onnx');
  const plan = await planFor(source, weights, factorType);
  const report = await applyPlan(source, target, plan, { factorize, ...apply });
  return { target, report, calls };
}
