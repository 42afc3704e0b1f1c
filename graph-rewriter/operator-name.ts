// The operator names of docs/operators.md.
import { STRUCTURES, type StructureSpec } from './factorize/types.js';
import { type Activation, ACTIVATIONS } from './types.js';

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

/** `interleaved`: Monarch's output order of the published layers. */
export function operatorName(
  structure: StructureSpec['structure'],
  activation: Activation,
  interleaved = false,
): string {
  return `${BASE_NAMES[structure]}${interleaved ? 'Interleaved' : ''}${ACTIVATION_SUFFIXES[activation]}`;
}

/** The way back; undefined for a name that is none of ours. */
export function parseOperatorName(
  name: string,
): { structure: StructureSpec['structure']; activation: Activation; interleaved: boolean } | undefined {
  for (const structure of STRUCTURES)
    for (const activation of ACTIVATIONS)
      for (const interleaved of structure === 'monarch' ? [false, true] : [false])
        if (operatorName(structure, activation, interleaved) === name)
          return { structure, activation, interleaved };
  return undefined;
}
