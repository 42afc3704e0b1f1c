// In which types a factorized layer multiplies, and stores its factors.
import { BFLOAT16_OPSET } from '../check-plan.js';
import { FLOAT_FACTOR_TYPES, type FloatFactorType } from '../types.js';
import type { Part, Structure } from './structure.js';

/** Of x and y: the type that all constants multiply in; undefined where the operators do not have it. */
export function multipliedType({
  parts,
  constants,
  type: cast,
}: Structure): 'float32' | 'float16' | undefined {
  const added = constants.flatMap(({ factors }) => factors.map(({ tensor }) => tensor));
  const types = new Set([...parts.flatMap(tensorsOf), ...added].map(({ dtype }) => dtype));
  const [type] = types;
  if (cast !== undefined && cast !== type) return undefined;
  return types.size === 1 && (type === 'float32' || type === 'float16') ? type : undefined;
}

/** The narrowest type that holds every number of the factors as it multiplies. */
export function exactType(
  { parts }: Structure,
  dtype: FloatFactorType,
  opset: number,
): FloatFactorType | undefined {
  const types = new Set(parts.flatMap(tensorsOf).map(({ exactType }) => exactType));
  const [type] = types;
  if (![...types].every((each) => (FLOAT_FACTOR_TYPES as readonly string[]).includes(each))) return undefined;
  // U takes the coefficient: by a power of two it keeps its digits, by others it needs those of the model's arithmetic.
  const isExact =
    types.size === 1 && parts.every(({ coefficient }) => Number.isInteger(Math.log2(Math.abs(coefficient))));
  if (!isExact) return dtype === 'float16' && types.size === 1 && type === 'float16' ? 'float16' : 'float32';
  return type === 'bfloat16' && opset < BFLOAT16_OPSET ? 'float32' : (type as FloatFactorType);
}

export function tensorsOf({ V, S, U }: Part) {
  return [V, ...(S ? [S] : []), U].map(({ tensor }) => tensor);
}
