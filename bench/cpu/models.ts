// One-layer models for each way of doing the same product: the same X, `copies` independent weights.
import onnxProto, { type onnx } from 'onnx-proto';
import { portableFunction } from '../../graph-rewriter/functions/index.js';
import { operatorName } from '../../graph-rewriter/operator-name.js';
import { dataTypeNumber } from '../../graph-rewriter/schema.js';
import { type StoredFactor, storedFactors } from '../../graph-rewriter/stored-factors.js';
import { factorBytes } from '../../graph-rewriter/structure-size.js';
import type { Compute, FactorType } from '../../graph-rewriter/types.js';
import type { BenchLayer } from '../layers.js';

const { onnx: proto } = onnxProto;
const OPSET = 17;
const FLOAT = 1;
const INT8 = 3;

/** Our operator: the factors' type, and the attribute `compute`. */
const BLAST_FORMS = {
  blast: ['float32', 'float'],
  'blast-fp16': ['float16', 'float'],
  'blast-bf16': ['bfloat16', 'float'],
  'blast-int8': ['int8', 'float'],
  'blast-compute-bf16': ['float32', 'bfloat16'],
  'blast-compute-int8': ['int8', 'int8'],
} as const;

/**
 * none: no product at all, what a run costs by itself; dense: ONNX Runtime's own fp32 MatMul; int8: its dynamic quantization of the dense weight; int4: its MatMulNBits, groups of
 * 32; low-rank: two plain MatMuls of the same rank; blast-plain: BLAST as standard operators (the portable function); the
 * others: our operator.
 */
export const VARIANTS = [
  'none',
  'dense',
  'int8',
  'int4',
  'low-rank',
  'blast-plain',
  ...(Object.keys(BLAST_FORMS) as (keyof typeof BLAST_FORMS)[]),
] as const;
export type Variant = (typeof VARIANTS)[number];

export interface Parts {
  readonly nodes: onnx.INodeProto[];
  readonly initializers: onnx.ITensorProto[];
  /** Numbers of each shape, the same for all copies but the first (`own`). */
  readonly data: Map<string, Uint8Array>;
}

/**
 * A model Y_i = X · W_iᵀ for i < copies, of which it gives one number each: the time is the layers', without that of handing
 * Y to JavaScript. More copies than fit the caches make every weight come from memory.
 */
export function layerModel(layer: BenchLayer, variant: Variant, copies: number): Uint8Array {
  const random = xorshift(1);
  const functions = variant === 'blast-plain' ? [blastFunction()] : [];
  return productModel(layer.in, copies, (parts, i) => addCopy(parts, layer, variant, i, random), functions);
}

/** `add` adds the nodes from X [tokens, size] to Y_i. */
export function productModel(
  size: number,
  copies: number,
  add: (parts: Parts, i: number) => void,
  functions: onnx.IFunctionProto[] = [],
): Uint8Array {
  const parts: Parts = { nodes: [], initializers: [], data: new Map() };
  for (let i = 0; i < copies; i++) add(parts, i);
  addCorners(parts, copies);
  const value = (name: string, columns: number): onnx.IValueInfoProto => ({
    name,
    type: {
      tensorType: { elemType: FLOAT, shape: { dim: [{ dimParam: 'tokens' }, { dimValue: columns }] } },
    },
  });
  return proto.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'ai.blockrank', version: 1 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'layer',
      node: parts.nodes,
      initializer: parts.initializers,
      input: [value('X', size)],
      output: [value('corners', copies)],
    },
    functions,
  }).finish();
}

/** Y_i[0, 0] of all. */
function addCorners({ nodes, initializers }: Parts, copies: number): void {
  for (const [name, values] of [
    ['start', [0n, 0n]],
    ['end', [1n, 1n]],
  ] as const) {
    const rawData = new Uint8Array(BigInt64Array.from(values).buffer);
    initializers.push({ name, dims: [2], dataType: dataTypeNumber('int64'), rawData });
  }
  const corners = Array.from({ length: copies }, (_, i) => `corner${i}`);
  corners.forEach((output, i) =>
    nodes.push({ opType: 'Slice', name: output, input: [`Y${i}`, 'start', 'end'], output: [output] }),
  );
  const axis = { name: 'axis', type: proto.AttributeProto.AttributeType.INT, i: 1 };
  nodes.push({ opType: 'Concat', name: 'corners', input: corners, output: ['corners'], attribute: [axis] });
}

function blastFunction(): onnx.IFunctionProto {
  const plain = { activation: 'none', interleaved: false, bias: false, ragged: false } as const;
  return portableFunction({ structure: 'blast', ...plain, castFactors: false, type: 'float32' }, OPSET);
}

/** A copy with another first byte: equal tensors, and then equal products, would be merged by ONNX Runtime. */
function own(data: Uint8Array, copy: number): Uint8Array {
  const changed = data.slice();
  changed[0] ^= copy & 255;
  return changed;
}

function once({ data }: Parts, key: string, make: () => Uint8Array): Uint8Array {
  const found = data.get(key) ?? make();
  data.set(key, found);
  return found;
}

function addCopy(parts: Parts, layer: BenchLayer, variant: Variant, i: number, random: () => number): void {
  const { in: n, out: m, rank: r } = layer;
  const floats = (name: string, dims: number[]) => {
    const size = dims.reduce((a, d) => a * d, 1);
    const scale = 1 / Math.sqrt(dims.at(-1)!);
    const rawData = once(parts, `floats ${dims.join()}`, () => {
      const data = Float32Array.from({ length: size }, () => (random() - 0.5) * scale);
      return new Uint8Array(data.buffer);
    });
    parts.initializers.push({ name, dims, dataType: FLOAT, rawData: own(rawData, i) });
    return name;
  };
  const op = (opType: string, input: string[], output: string[], domain = '') =>
    parts.nodes.push({ opType, input, output, domain, name: `${output[0]}_${opType}` });
  switch (variant) {
    case 'none':
      op('Identity', ['X'], [`Y${i}`]);
      return;
    case 'dense':
      op('MatMul', ['X', floats(`W${i}`, [n, m])], [`Y${i}`]);
      return;
    case 'low-rank':
      op('MatMul', ['X', floats(`V${i}`, [n, r])], [`T${i}`]);
      op('MatMul', [`T${i}`, floats(`U${i}`, [r, m])], [`Y${i}`]);
      return;
    case 'int8': {
      const rawData = once(parts, 'int8', () => Uint8Array.from({ length: n * m }, () => random() * 255));
      parts.initializers.push({ name: `W${i}`, dims: [n, m], dataType: INT8, rawData: own(rawData, i) });
      parts.initializers.push({ name: `zero${i}`, dims: [], dataType: INT8, rawData: new Uint8Array(1) });
      parts.initializers.push({
        name: `scale${i}`,
        dims: [],
        dataType: FLOAT,
        rawData: new Uint8Array(Float32Array.of(0.01).buffer),
      });
      op('DynamicQuantizeLinear', ['X'], [`Q${i}`, `s${i}`, `z${i}`]);
      op('MatMulInteger', [`Q${i}`, `W${i}`, `z${i}`, `zero${i}`], [`I${i}`]);
      parts.nodes.push({
        opType: 'Cast',
        input: [`I${i}`],
        output: [`F${i}`],
        attribute: [{ name: 'to', type: proto.AttributeProto.AttributeType.INT, i: FLOAT }],
      });
      op('Mul', [`s${i}`, `scale${i}`], [`c${i}`]);
      op('Mul', [`F${i}`, `c${i}`], [`Y${i}`]);
      return;
    }
    case 'int4':
      addInt4(parts, layer, i, random);
      return;
    case 'blast-plain':
      addBlast(parts, layer, i, random, 'float32', 'float');
      return;
    default: {
      const [type, compute] = BLAST_FORMS[variant];
      addBlast(parts, layer, i, random, type, compute);
    }
  }
}

const INT4_GROUP = 32;

function addInt4(parts: Parts, { in: n, out: m }: BenchLayer, i: number, random: () => number): void {
  const groups = Math.ceil(n / INT4_GROUP);
  const size = (m * groups * INT4_GROUP) / 2;
  const rawData = once(parts, 'int4', () => Uint8Array.from({ length: size }, () => random() * 256));
  const dims = [m, groups, INT4_GROUP / 2];
  parts.initializers.push({
    name: `W${i}`,
    dims,
    dataType: dataTypeNumber('uint8'),
    rawData: own(rawData, i),
  });
  const scales = Float32Array.from({ length: m * groups }, () => 0.01);
  const scaleData = new Uint8Array(scales.buffer);
  parts.initializers.push({ name: `scale${i}`, dims: [m * groups], dataType: FLOAT, rawData: scaleData });
  const integers = { K: n, N: m, bits: 4, block_size: INT4_GROUP };
  parts.nodes.push({
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    name: `Y${i}_MatMulNBits`,
    input: ['X', `W${i}`, `scale${i}`],
    output: [`Y${i}`],
    attribute: Object.entries(integers).map(([name, value]) => ({
      name,
      type: proto.AttributeProto.AttributeType.INT,
      i: value,
    })),
  });
}

const made = new Map<string, StoredFactor[]>();

/** The same numbers for all copies: each copy has tensors of its own all the same. */
function blastFactors(
  { name, in: n, out: m, blocks: b, rank: r }: BenchLayer,
  type: FactorType,
  random: () => number,
): StoredFactor[] {
  const key = `${name} ${type}`;
  let stored = made.get(key);
  if (stored === undefined) {
    const spec = { structure: 'blast', rank: r, blocksIn: b, blocksOut: b, in: n, out: m } as const;
    const numbers = (count: number) => Float32Array.from({ length: count }, () => (random() - 0.5) * 0.1);
    const factors = { ...spec, V: numbers(r * n), S: numbers(b * b * r), U: numbers(m * r) };
    stored = storedFactors(name, { factors }, type, 1);
    if (![...made.keys()].every((other) => other.startsWith(`${name} `))) made.clear();
    made.set(key, stored);
  }
  return stored;
}

function addBlast(
  parts: Parts,
  layer: BenchLayer,
  i: number,
  random: () => number,
  type: FactorType,
  compute: Compute,
): void {
  addOperator(parts, 'blast', blastFactors(layer, type, random), i, compute);
}

/** Our operator from X to Y_i with tensors of its own. */
export function addOperator(
  parts: Parts,
  structure: 'blast' | 'low-rank' | 'monarch',
  stored: readonly StoredFactor[],
  i: number,
  compute: Compute,
): void {
  for (const { name, dims, type: dtype, bytes } of stored)
    parts.initializers.push({
      name: `${name}${i}`,
      dims: [...dims],
      dataType: dataTypeNumber(dtype),
      rawData: own(bytes, i),
    });
  parts.nodes.push({
    opType: operatorName(structure, 'none', false, stored[0].type === 'int8'),
    domain: 'ai.blockrank',
    name: `Y${i}_${structure}`,
    input: ['X', ...stored.map(({ name }) => `${name}${i}`)],
    output: [`Y${i}`],
    attribute: [
      {
        name: 'compute',
        type: proto.AttributeProto.AttributeType.STRING,
        s: new TextEncoder().encode(compute),
      },
    ],
  });
}

/** Bytes of one weight as each variant stores it. */
export function variantBytes({ in: n, out: m, blocks: b, rank: r }: BenchLayer, variant: Variant): number {
  switch (variant) {
    case 'none':
      return Infinity;
    case 'dense':
      return 4 * n * m;
    case 'int8':
      return n * m;
    case 'int4':
      return (n * m * (INT4_GROUP / 2 + 4)) / INT4_GROUP;
    case 'low-rank':
      return 4 * r * (n + m);
    default: {
      const type = variant === 'blast-plain' ? 'float32' : BLAST_FORMS[variant][0];
      return factorBytes({ in: n, out: m }, { structure: 'blast', rank: r, blocksIn: b, blocksOut: b }, type);
    }
  }
}

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
