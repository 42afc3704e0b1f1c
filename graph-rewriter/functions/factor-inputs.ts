// The operators' inputs between X and B, in their order.
import type { Structure } from '../factorize/types.js';

export type FactorName = 'V' | 'S' | 'U';
/** The scales are of int8 factors. */
export type FactorInput = FactorName | 'VScale' | 'UScale';

export const FACTOR_NAMES: Record<Structure, readonly FactorName[]> = {
  'low-rank': ['V', 'U'],
  blast: ['V', 'S', 'U'],
  monarch: ['V', 'U'],
};

export function factorInputs(structure: Structure, isInt8: boolean): readonly FactorInput[] {
  const names = FACTOR_NAMES[structure];
  if (!isInt8) return names;
  return names.flatMap((name): FactorInput[] => (name === 'S' ? ['S'] : [name, `${name}Scale`]));
}
