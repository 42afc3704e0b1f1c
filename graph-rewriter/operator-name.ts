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

/** `interleaved`: Monarch's output order of the published layers; `int8`: the operators with Q. */
export function operatorName(
  structure: StructureSpec['structure'],
  activation: Activation,
  interleaved = false,
  int8 = false,
): string {
  const name = `${BASE_NAMES[structure]}${interleaved ? 'Interleaved' : ''}${ACTIVATION_SUFFIXES[activation]}`;
  return int8 ? `Q${name}` : name;
}

export interface ParsedName {
  readonly structure: StructureSpec['structure'];
  readonly activation: Activation;
  readonly interleaved: boolean;
  readonly int8: boolean;
}

/** The way back; undefined for a name that is none of ours. */
export function parseOperatorName(name: string): ParsedName | undefined {
  for (const int8 of [false, true])
    for (const structure of STRUCTURES)
      for (const activation of ACTIVATIONS)
        for (const interleaved of structure === 'monarch' ? [false, true] : [false])
          if (operatorName(structure, activation, interleaved, int8) === name)
            return { structure, activation, interleaved, int8 };
  return undefined;
}
