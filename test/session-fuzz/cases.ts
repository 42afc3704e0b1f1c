/** Random nodes: right ones over all operators, types and attributes, and in half of the cases a change that may break them. */
import type { Random } from '../fuzz/random.js';
import { poison, randomTensor, type Tensor, TYPES, type TypeName } from './tensors.js';

/** How the node gets an input: as a constant, from a node that the optimizer may or may not fold, from the caller, or not at all. */
export type Source = 'initializer' | 'identity' | 'fed' | 'fed, undeclared' | 'unnamed';

export interface Input {
  name: string;
  tensor: Tensor;
  source: Source;
}

export type AttributeValue = string | number | { float: number } | { strings: string[] } | { ints: number[] };

export interface Case {
  op: string;
  inputs: Input[];
  attributes: Record<string, AttributeValue>;
  /** Declared for the caller: sizes, or names for the leading ones and perhaps the last. */
  declared: 'sizes' | 'leading names' | 'names' | 'nothing';
  threads: number;
  optimize: boolean;
  /** Runs at once. */
  runs: number;
  changes: string[];
}

export const SUFFIXES = {
  none: '',
  relu: 'Relu',
  gelu: 'Gelu',
  gelu_tanh: 'GeluTanh',
  silu: 'Silu',
} as const;
const FAMILIES = ['LowRankMatMul', 'BlastMatMul', 'MonarchMatMul', 'MonarchMatMulInterleaved'] as const;

/** 1 … limit, small ones as often as large ones. */
const size = (random: Random, limit: number) => Math.max(1, Math.floor(limit ** (random.pick(1000) / 1000)));

/** A number of blocks that leaves none empty. */
function blocks(random: Random, features: number): number {
  for (;;) {
    const count = size(random, Math.min(features, 12));
    if ((count - 1) * Math.ceil(features / count) < features) return count;
  }
}

function randomAttributes(
  random: Random,
  op: { suffix: string; activation: string; monarch: boolean; interleaved: boolean; quantized: boolean },
) {
  const attributes: Record<string, AttributeValue> = {};
  if (op.suffix === '' ? op.activation !== 'none' || random.chance(4) : random.chance(4))
    attributes['activation'] = op.activation;
  if (op.monarch && random.chance(2))
    attributes['output_order'] = op.interleaved || random.chance(2) ? 'interleaved' : 'contiguous';
  if (random.chance(2)) attributes['compute'] = random.oneOf(['float', op.quantized ? 'int8' : 'bfloat16']);
  return attributes;
}

/** A node that docs/operators.md allows. */
function rightCase(random: Random): Case {
  const family = random.oneOf(FAMILIES);
  const quantized = random.chance(3);
  const monarch = family.startsWith('Monarch');
  const interleaved = family.endsWith('Interleaved');
  const activation = random.oneOf(Object.keys(SUFFIXES) as (keyof typeof SUFFIXES)[]);
  const suffix = random.chance(2) ? SUFFIXES[activation] : '';
  const [n, m, r] = [size(random, 70), size(random, 70), size(random, 40)];
  const low = family === 'LowRankMatMul';
  const [bIn, bOut] = low ? [1, 1] : [blocks(random, n), blocks(random, m)];
  const xType = random.oneOf(['float32', 'float16'] as const);
  const scaleType = random.oneOf(
    quantized ? (['float32', 'float16'] as const) : (['float32', 'float16', 'bfloat16'] as const),
  );
  const factorType = quantized ? 'int8' : scaleType;
  const leading = Array.from({ length: random.pick(4) }, () => (random.chance(12) ? 0 : size(random, 9)));
  const tensors: [string, Tensor][] = [
    ['X', randomTensor(xType, [...leading, n], random)],
    ['V', randomTensor(factorType, monarch ? [bOut, r, n] : [r, n], random, 1 / 4)],
    ...(quantized
      ? [
          [
            'VScale',
            randomTensor(scaleType, low ? [r] : monarch ? [bOut, bIn, r] : [bIn, r], random, 1 / 256),
          ] as [string, Tensor],
        ]
      : []),
    ...(family === 'BlastMatMul'
      ? [['S', randomTensor(scaleType, [bOut, bIn, r], random)] as [string, Tensor]]
      : []),
    ['U', randomTensor(factorType, monarch ? [m, bIn, r] : [m, r], random, 1 / 4)],
    ...(quantized
      ? [['UScale', randomTensor(scaleType, monarch ? [m, bIn] : [m], random, 1 / 256)] as [string, Tensor]]
      : []),
    ...(random.chance(2)
      ? [['B', randomTensor(xType, [random.chance(3) ? 1 : m], random)] as [string, Tensor]]
      : []),
  ];
  const sources: Source[] = random.chance(2)
    ? ['initializer']
    : ['initializer', 'identity', 'fed', 'fed, undeclared'];
  return {
    op: `${quantized ? 'Q' : ''}${family}${suffix}`,
    inputs: tensors.map(([name, tensor]) => ({
      name,
      tensor,
      source: name === 'X' ? 'fed' : random.oneOf(sources),
    })),
    attributes: randomAttributes(random, { suffix, activation, monarch, interleaved, quantized }),
    declared: random.oneOf(['sizes', 'leading names', 'names', 'nothing']),
    threads: 1 + random.pick(2),
    optimize: random.chance(2),
    runs: random.chance(4) ? 3 : 1,
    changes: [],
  };
}

const CHANGES: Record<string, (change: Case, random: Random) => void> = {
  type: (c, random) => {
    const input = random.oneOf(c.inputs);
    input.tensor = randomTensor(random.oneOf(Object.keys(TYPES) as TypeName[]), input.tensor.dims, random);
  },
  dimension: (c, random) => {
    const input = random.oneOf(c.inputs);
    const dims = [...input.tensor.dims];
    if (dims.length === 0) return;
    const at = random.pick(dims.length);
    dims[at] = random.oneOf([0, 1, dims[at] - 1, dims[at] + 1, dims[at] * 2, random.pick(40)]);
    input.tensor = randomTensor(input.tensor.type, dims, random);
  },
  rank: (c, random) => {
    const input = random.oneOf(c.inputs);
    const dims = [...input.tensor.dims];
    input.tensor = randomTensor(
      input.tensor.type,
      random.oneOf([[], dims.slice(1), dims.slice(0, -1), [1, ...dims], [...dims, 1], [...dims].reverse()]),
      random,
    );
  },
  // The declared dimensions do not fit the bytes, or cannot be.
  'stored dimensions': (c, random) => {
    const input = random.oneOf(c.inputs.slice(1));
    const dims = [...input.tensor.dims];
    if (dims.length === 0) return;
    dims[random.pick(dims.length)] = random.oneOf([-1, -7, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]);
    input.source = random.oneOf(['initializer', 'identity']);
    input.tensor = { ...input.tensor, dims };
  },
  'left off': (c, random) => {
    c.inputs.splice(random.pick(c.inputs.length), 1);
  },
  'one too many': (c, random) => {
    c.inputs.push({
      name: `extra${c.inputs.length}`,
      tensor: randomTensor('float32', [1], random),
      source: 'initializer',
    });
  },
  unnamed: (c) => {
    const last = c.inputs[c.inputs.length - 1];
    if (last.name === 'B') last.source = 'unnamed';
  },
  swapped: (c, random) => {
    const [a, b] = [random.pick(c.inputs.length), random.pick(c.inputs.length)];
    [c.inputs[a].tensor, c.inputs[b].tensor] = [c.inputs[b].tensor, c.inputs[a].tensor];
  },
  attribute: (c, random) => {
    const name = random.oneOf(['activation', 'output_order', 'compute']);
    c.attributes[name] = random.oneOf<AttributeValue>([
      '', 'tanh', 'RELU', 'relu\\0', 'x'.repeat(5000), 1, { float: 0.5 }, { strings: ['relu'] }, { ints: [1, 2] },
      'relu', 'gelu', 'none', 'contiguous', 'interleaved', 'float', 'int8', 'bfloat16',
    ]); // prettier-ignore
  },
  operator: (c, random) => {
    c.op = random.oneOf([
      `Q${c.op}`,
      c.op.replace(/^Q/, ''),
      `${c.op}Tanh`,
      c.op.toLowerCase(),
      c.op.replace(/(Relu|Gelu|GeluTanh|Silu)$/, ''),
      random.oneOf(FAMILIES),
    ]);
  },
};

/** Case `index` of a seed is built from `random` alone. */
export function randomCase(random: Random): Case {
  const made = rightCase(random);
  if (random.chance(4)) {
    const input = random.oneOf(made.inputs);
    poison(input.tensor, random);
    made.changes.push(`poison ${input.name}`);
  }
  if (random.chance(2)) return made;
  for (let count = 1 + random.pick(2); count > 0; count--) {
    const name = random.oneOf(Object.keys(CHANGES));
    if (made.inputs.length > 1) CHANGES[name](made, random);
    made.changes.push(name);
    if (name === 'stored dimensions') break; // nothing can be made of these
  }
  return made;
}
