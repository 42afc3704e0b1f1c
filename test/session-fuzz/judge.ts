/** Whether docs/operators.md allows a node, told from the page and not from the library: its sizes, or what is wrong. */
import type { Case, Input } from './cases.js';
import { SUFFIXES } from './cases.js';
import type { TypeName } from './tensors.js';

export interface Sizes {
  readonly n: number;
  readonly m: number;
  readonly r: number;
  readonly bIn: number;
  readonly bOut: number;
  readonly quantized: boolean;
  readonly monarch: boolean;
  readonly interleaved: boolean;
  readonly activation: keyof typeof SUFFIXES;
  readonly compute: 'float' | 'int8' | 'bfloat16';
}

const NAME =
  /^(Q?)(LowRankMatMul|BlastMatMul|MonarchMatMul|MonarchMatMulInterleaved)(Relu|Gelu|GeluTanh|Silu|)$/;

class Wrong extends Error {}
const need = (holds: boolean, what: string) => {
  if (!holds) throw new Wrong(what);
};

/** A sentence where the node is wrong. */
export function judge(made: Case): Sizes | string {
  try {
    return sizesOf(made);
  } catch (error) {
    if (error instanceof Wrong) return error.message;
    throw error;
  }
}

function sizesOf({ op, inputs, attributes }: Case): Sizes {
  const match = NAME.exec(op);
  need(match !== null, 'no such operator');
  const [, q, family, suffix] = match!;
  const quantized = q === 'Q';
  const names = [
    'X',
    'V',
    ...(quantized ? ['VScale'] : []),
    ...(family === 'BlastMatMul' ? ['S'] : []),
    'U',
    ...(quantized ? ['UScale'] : []),
  ];
  // A last input without a name is one that is left off.
  const named = inputs.at(-1)?.source === 'unnamed' ? inputs.slice(0, -1) : inputs;
  need(
    named.every(({ source }) => source !== 'unnamed'),
    'an input without a name',
  );
  need(named.length === names.length || named.length === names.length + 1, 'the number of inputs');
  const by: Partial<Record<string, Input['tensor']>> = {};
  [...names, 'B'].forEach((name, i) => (by[name] = named[i]?.tensor));
  for (const { tensor } of inputs)
    need(
      tensor.dims.every((d) => d >= 0) && tensor.dims.reduce((a, b) => a * b, 1) === tensor.data.length,
      'stored dimensions',
    );
  checkTypes(by, quantized);
  const monarch = family.startsWith('Monarch');
  const activation = activationOf(attributes['activation'], suffix);
  const compute = oneOf(attributes['compute'], ['float', quantized ? 'int8' : 'bfloat16'], 'float');
  const byName = family.endsWith('Interleaved');
  const order = monarch
    ? oneOf(
        attributes['output_order'],
        byName ? ['interleaved'] : ['contiguous', 'interleaved'],
        byName ? 'interleaved' : 'contiguous',
      )
    : 'contiguous';
  return {
    ...shapesOf(by, family, monarch),
    quantized,
    monarch,
    interleaved: order === 'interleaved',
    activation,
    compute: compute as Sizes['compute'],
  };
}

function activationOf(value: unknown, suffix: string): keyof typeof SUFFIXES {
  const all = Object.entries(SUFFIXES) as [keyof typeof SUFFIXES, string][];
  const allowed = all.filter(([, name]) => suffix === '' || name === suffix).map(([name]) => name);
  return oneOf(value, allowed, allowed[0]) as keyof typeof SUFFIXES;
}

function oneOf(value: unknown, allowed: readonly string[], fallback: string): string {
  // ONNX Runtime shows operators no lists of strings: as the page says, these count as absent.
  const isUnseen = typeof value === 'object' && value !== null && 'strings' in value;
  const found = isUnseen ? fallback : (value ?? fallback);
  need(typeof found === 'string' && allowed.includes(found), 'an attribute');
  return found as string;
}

function checkTypes(by: Partial<Record<string, Input['tensor']>>, quantized: boolean): void {
  const type = (name: string) => by[name]?.type;
  const isOneOf = (name: string, ...types: TypeName[]) =>
    need(types.includes(type(name)!), `the type of ${name}`);
  isOneOf('X', 'float32', 'float16');
  if (by['B']) isOneOf('B', type('X')!);
  if (quantized) {
    isOneOf('V', 'int8');
    isOneOf('VScale', 'float32', 'float16');
    isOneOf('UScale', type('VScale')!);
  } else isOneOf('V', 'float32', 'float16', 'bfloat16');
  isOneOf('U', type('V')!);
  if (by['S']) isOneOf('S', type(quantized ? 'VScale' : 'V')!);
}

function shapesOf(by: Partial<Record<string, Input['tensor']>>, family: string, monarch: boolean) {
  const dims = (name: string) => by[name]!.dims;
  need(
    dims('V').length === (monarch ? 3 : 2) && dims('U').length === (monarch ? 3 : 2),
    'the rank of V or U',
  );
  const [r, n] = dims('V').slice(-2);
  const m = dims('U')[0];
  need(dims('U').at(-1) === r, 'r');
  if (by['S']) need(dims('S').length === 3, 'the rank of S');
  const [bOut, bIn] = monarch ? [dims('V')[0], dims('U')[1]] : by['S'] ? dims('S') : [1, 1];
  need(Math.min(n, m, r, bIn, bOut) >= 1, 'an empty factor');
  need((bIn - 1) * Math.ceil(n / bIn) < n && (bOut - 1) * Math.ceil(m / bOut) < m, 'an empty block');
  const is = (name: string, ...wanted: number[]) => {
    if (by[name])
      need(
        dims(name).length === wanted.length && dims(name).every((d, i) => d === wanted[i]),
        `the shape of ${name}`,
      );
  };
  is('S', bOut, bIn, r);
  is('VScale', ...(monarch ? [bOut, bIn, r] : family === 'BlastMatMul' ? [bIn, r] : [r]));
  is('UScale', ...(monarch ? [m, bIn] : [m]));
  need(dims('X').length >= 1 && dims('X').at(-1) === n, 'the shape of X');
  if (by['B']) need(dims('B').length === 1 && [1, m].includes(dims('B')[0]), 'the shape of B');
  return { n, m, r, bIn, bOut };
}
