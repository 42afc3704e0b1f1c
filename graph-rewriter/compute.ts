// Which values of the attribute `compute` factors of a type may have (docs/operators.md).
import { type Compute, COMPUTES, type FactorType } from './types.js';

export function computeFits(compute: Compute, type: FactorType): boolean {
  return compute === 'float' || (compute === 'int8') === (type === 'int8');
}

/** For messages: "float or int8". */
export function allowedComputes(type: FactorType): string {
  return COMPUTES.filter((compute) => computeFits(compute, type)).join(' or ');
}
