// Solves one layer: its target, the factors or new numbers that meet it, and what stands for it from here on.
import type { Engine } from '../factorize/engine.js';
import { factorize, reconstruct } from '../factorize/index.js';
import type { DenseWeight } from '../factorize/types.js';
import { encodeFloats } from '../floats.js';
import { operandOf } from '../operand.js';
import type { LayerFactorization } from '../types.js';
import type { GroupTargets, Target } from './group-targets.js';
import type { Member } from './groups.js';
import type { Override } from './subgraph.js';
import type { SequentialRequest } from './types.js';

export interface SolveOptions
  extends
    Pick<
      SequentialRequest,
      'oneShot' | 'outputScale' | 'method' | 'iterations' | 'relaxation' | 'seed' | 'signal'
    >,
    Required<Pick<SequentialRequest, 'alpha' | 'ridge' | 'bias'>> {
  readonly engine: Engine;
}

export interface Solved {
  /** Where the layer is replaced by factors. */
  readonly factorization?: LayerFactorization;
  /** Where it stays dense with new numbers, [out, in]. */
  readonly weight?: Float32Array;
  readonly override: Override;
  readonly isShared: boolean;
}

/** Undefined where the layer stays dense and there is nothing to make up for. */
export async function solveMember(
  member: Member,
  weight: DenseWeight,
  targets: GroupTargets,
  options: SolveOptions,
): Promise<Solved | undefined> {
  const { match, plan, isShared, operand: position } = member;
  if (!('spec' in plan)) {
    const { weight: data, isMoved } = await targets.of(member, weight.data, false);
    return isMoved
      ? { weight: data, override: { operand: operandOf(match, data), position }, isShared }
      : undefined;
  }
  const target = await targets.of(member, weight.data, canShift(member, options));
  const factorization = await fit(member, { ...weight, data: target.weight }, target, targets, options);
  const dense = await reconstruct(options.engine, factorization.factors);
  const operand = operandOf(match, dense);
  if (!target.centred) return { factorization, override: { operand, position }, isShared };
  const biasShift = meanError(member, weight.data, dense, targets, target.alpha);
  const shift = encodeFloats(
    biasShift.map((value) => value * match.scale),
    operand.type,
  );
  return { factorization: { ...factorization, biasShift }, override: { operand, position, shift }, isShared };
}

/** Factors without a target, which later layers make up for all the same. */
export async function solveOneShot(
  { info, match, plan, isShared, operand: position }: Member,
  weight: DenseWeight,
  options: SolveOptions,
): Promise<Solved> {
  const { spec, factorType } = plan as Extract<typeof plan, { spec: unknown }>;
  const factorization = await options.oneShot(info, weight, spec, factorType);
  const dense = await reconstruct(options.engine, factorization.factors);
  return { factorization, override: { operand: operandOf(match, dense), position }, isShared };
}

async function fit(
  { info, plan }: Member,
  weight: DenseWeight,
  { covariance }: Target,
  { statistics }: GroupTargets,
  { outputScale, method, iterations, relaxation, seed, signal, engine }: SolveOptions,
): Promise<LayerFactorization> {
  const { spec, factorType } = plan as Extract<typeof plan, { spec: unknown }>;
  const scale = outputScale?.(info);
  const factorization = await factorize({
    weight,
    spec,
    factorType,
    engine,
    ...(covariance && { covariance }),
    ...(scale && { outputScale: scale }),
    ...(method && { method }),
    ...(iterations !== undefined && { iterations }),
    ...(relaxation && { relaxation }),
    ...(seed !== undefined && { seed }),
    ...(signal && { signal }),
  });
  return { ...factorization, samples: statistics.samples };
}

/** A product that applies an activation itself cannot be shifted before it. */
function canShift({ match }: Member, { bias }: SolveOptions): boolean {
  const [product] = match.nodes;
  if (bias === 'never' || product.string('activation', '') !== '') return false;
  return bias === 'always' || match.bias !== undefined;
}

/** W (α E[h] + (1 − α) E[h′]) + α E[x − x′] − Ŵ E[h′]: what the factors miss on average, [out]. */
function meanError(
  member: Member,
  weight: Float32Array,
  dense: Float32Array,
  targets: GroupTargets,
  alpha: number,
): Float32Array {
  const { compressed, cross } = targets.statistics;
  const gap = targets.meanGap(member);
  return Float32Array.from(gap, (missing, o) => {
    let sum = alpha * missing;
    for (let i = 0; i < compressed.rows; i++) {
      const at = o * compressed.rows + i;
      sum +=
        weight[at] * (alpha * cross.mean[i] + (1 - alpha) * compressed.mean[i]) -
        dense[at] * compressed.mean[i];
    }
    return sum;
  });
}
