// Factorizes what a plan names and stores the factors: each distinct weight and decision once.
import { BlockrankError } from './errors.js';
import type { Factorization, Factors } from './factorize/types.js';
import { encodeFloats, FLOAT_BYTES } from './floats.js';
import { FACTOR_NAMES, type FactorName } from './functions/index.js';
import type { Names } from './names.js';
import type { Match } from './rule.js';
import { sizePerRank } from './structure-size.js';
import type { TensorStore } from './tensor-store.js';
import type { FactorizeLayer, FactorType, LayerInfo, LayerPlan, Reason } from './types.js';
import { readWeight } from './weight.js';

export interface Factorized {
  readonly factors: Omit<Factors, 'V' | 'S' | 'U'>;
  readonly relativeError: number;
  readonly weightedError: number;
  readonly biasShift?: Float32Array;
  readonly samples?: number;
  /** Names of the stored factors, in the operator's order. */
  readonly names: readonly string[];
  readonly bytes: number;
}

type SpecPlan = Extract<LayerPlan, { spec: unknown }>;

export class FactorizedLayers {
  private readonly done = new Map<string, Factorized | Reason>();

  constructor(
    private readonly factorize: FactorizeLayer,
    private readonly store: TensorStore,
    private readonly names: Names,
  ) {}

  async get(info: LayerInfo, match: Match, plan: SpecPlan): Promise<Factorized | Reason> {
    const key = JSON.stringify([info.weightKey, plan.spec, plan.factorType]);
    let result = this.done.get(key);
    if (result === undefined) {
      result = await this.make(info, match, plan);
      this.done.set(key, result);
    }
    return result;
  }

  private async make(info: LayerInfo, match: Match, plan: SpecPlan): Promise<Factorized | Reason> {
    const weight = readWeight(match);
    if ('code' in weight) return weight;
    const factorization = await this.factorize(info, weight, plan.spec);
    const { factors, relativeError, weightedError, biasShift, samples } = factorization;
    checkFactors(info, match, factorization);
    const names: string[] = [];
    for (const factor of FACTOR_NAMES[factors.structure]) {
      const name = this.names.unique(`${match.weight.name}.${factor}`);
      names.push(name);
      const values =
        factor === 'U' && match.scale !== 1 ? factors.U.map((u) => u * match.scale) : factors[factor]!;
      await this.store.add(
        { name, dims: factorDims(factors, factor), type: plan.factorType },
        encode(info, factor, values, plan.factorType),
      );
    }
    const { V, S, U, ...spec } = factors;
    const bytes = (V.length + (S?.length ?? 0) + U.length) * FLOAT_BYTES[plan.factorType];
    return {
      factors: spec,
      relativeError,
      weightedError,
      names,
      bytes,
      ...(biasShift && { biasShift }),
      ...(samples !== undefined && { samples }),
    };
  }
}

function factorDims(f: Omit<Factors, 'V' | 'S' | 'U'>, name: FactorName): number[] {
  if (name === 'S') return [f.blocksOut, f.blocksIn, f.rank];
  if (f.structure === 'monarch')
    return name === 'V' ? [f.blocksOut, f.rank, f.in] : [f.out, f.blocksIn, f.rank];
  return name === 'V' ? [f.rank, f.in] : [f.out, f.rank];
}

/** The factorization comes from the caller: nothing that does not fit may reach the file. */
function checkFactors(info: LayerInfo, match: Match, { factors }: Factorization): void {
  const given = factors.V.length + (factors.S?.length ?? 0) + factors.U.length;
  const fits =
    factors.in === match.in &&
    factors.out === match.out &&
    given === factors.rank * sizePerRank(factors, factors) &&
    FACTOR_NAMES[factors.structure].every(
      (name) => factors[name]?.length === product(factorDims(factors, name)),
    );
  if (!fits)
    throw new BlockrankError(
      'FACTORIZATION',
      `The factorization of ${info.id} returned ${given} numbers for a ${factors.structure} of rank ${factors.rank} and shape [${match.in}, ${match.out}].`,
    );
}

function encode(info: LayerInfo, factor: FactorName, values: Float32Array, type: FactorType): Uint8Array {
  const limit = type === 'float16' ? 65504 : 3.38e38;
  const bad = values.findIndex((value) => !(Math.abs(value) <= limit));
  if (bad >= 0)
    throw new BlockrankError(
      'FACTORIZATION',
      `Factor ${factor} of ${info.id} holds ${values[bad]}, which ${type} cannot. Choose another factor type or keep the layer dense.`,
    );
  return encodeFloats(values, type);
}

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}
