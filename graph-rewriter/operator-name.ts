// The operator names of docs/operators.md.
import type { StructureSpec } from './factorize/types.js';
import type { Activation } from './types.js';

export const BASE_NAMES: Record<StructureSpec['structure'], string> = {
  blast: 'BlastMatMul',
  monarch: 'MonarchMatMul',
  'low-rank': 'LowRankMatMul',
};

export const ACTIVATION_SUFFIXES: Record<Activation, string> = {
  none: '',
  relu: 'Relu',
  gelu: 'Gelu',
  gelu_tanh: 'GeluTanh',
  silu: 'Silu',
};

export function operatorName(structure: StructureSpec['structure'], activation: Activation): string {
  return BASE_NAMES[structure] + ACTIVATION_SUFFIXES[activation];
}
