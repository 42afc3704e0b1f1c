// Factorizes what a plan names and stores the factors: each distinct weight and decision once.
import { BlockrankError } from './errors.js';
import type { Factorization, Factors, Quantization } from './factorize/types.js';
import { FACTOR_NAMES } from './functions/factor-inputs.js';
import type { Names } from './names.js';
import type { Match } from './rule.js';
import { factorDims, storedFactors } from './stored-factors.js';
import { sizePerRank } from './structure-size.js';
import type { TensorStore } from './tensor-store.js';
import type { FactorizeLayer, LayerInfo, LayerPlan, LayerResult, Reason } from './types.js';
import { readWeight } from './weight.js';

export interface Factorized {
  readonly factors: Omit<Factors, 'V' | 'S' | 'U'>;
  readonly errors: Pick<
    NonNullable<LayerResult['result']>,
    'relativeError' | 'weightedError' | 'quantization'
  >;
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
    const result = await this.factorize(info, weight, plan.spec, plan.factorType);
    checkFactors(info, match, result);
    const stored = storedFactors(info.id, result, plan.factorType, match.scale);
    const names: string[] = [];
    for (const { name, bytes, ...tensor } of stored) {
      names.push(this.names.unique(`${match.weight.name}.${name}`));
      await this.store.add({ ...tensor, name: names.at(-1)! }, bytes);
    }
    const { quantization, biasShift, samples } = result;
    return {
      factors: specOf(result.factors),
      errors: { ...errorsOf(result), ...(quantization && { quantization: errorsOf(quantization) }) },
      names,
      bytes: stored.reduce((sum, { bytes }) => sum + bytes.length, 0),
      ...(biasShift && { biasShift }),
      ...(samples !== undefined && { samples }),
    };
  }
}

function specOf({ structure, rank, blocksIn, blocksOut, in: inputs, out }: Factors): Factorized['factors'] {
  return { structure, rank, blocksIn, blocksOut, in: inputs, out };
}

function errorsOf({ relativeError, weightedError }: Factorization | Quantization) {
  return { relativeError, weightedError };
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

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}
