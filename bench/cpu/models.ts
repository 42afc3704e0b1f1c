// One-layer models for each way of doing the same product: the same X, `copies` independent weights.
import onnxProto, { type onnx } from 'onnx-proto';
import { portableFunction } from '../../graph-rewriter/functions/index.js';
import type { BenchLayer } from '../layers.js';

const { onnx: proto } = onnxProto;
const OPSET = 17;
const FLOAT = 1;
const INT8 = 3;
const INT64 = 7;
const FLOAT16 = 10;

export const VARIANTS = [
  'dense',
  'int8',
  'low-rank',
  'blast-plain',
  'blast',
  'blast-bf16',
  'blast-int8',
] as const;
/**
 * dense: ONNX Runtime's own fp32 MatMul; int8: its dynamic quantization of the dense weight; low-rank: two plain
 * MatMuls of the same rank; blast-plain: BLAST as standard operators (the portable function); blast: our operator; blast-bf16:
 * the same with bfloat16 products (compute = bfloat16); blast-int8: int8 factors and int8 products, as `--compute int8` writes it.
 */
export type Variant = (typeof VARIANTS)[number];

interface Parts {
  readonly nodes: onnx.INodeProto[];
  readonly initializers: onnx.ITensorProto[];
}

/**
 * A model Y_i = X · W_iᵀ for i < copies. More copies than fit the caches make every weight come from memory. With `firstRow` it
 * gives the first row of each Y alone, since a large output is fresh memory at every run, and its page faults would cost as much
 * as the layer; within a model, what a layer writes is the arena's memory.
 */
export function layerModel(
  layer: BenchLayer,
  variant: Variant,
  copies: number,
  firstRow: boolean,
): Uint8Array {
  const random = xorshift(1);
  const parts: Parts = { nodes: [], initializers: [] };
  for (let i = 0; i < copies; i++) addCopy(parts, layer, variant, i, random);
  if (firstRow) addSlices(parts, copies);
  const value = (name: string, size: number): onnx.IValueInfoProto => ({
    name,
    type: { tensorType: { elemType: FLOAT, shape: { dim: [{ dimParam: 'tokens' }, { dimValue: size }] } } },
  });
  return proto.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'ai.blockrank', version: 1 },
    ],
    graph: {
      name: 'layer',
      node: parts.nodes,
      initializer: parts.initializers,
      input: [value('X', layer.in)],
      output: Array.from({ length: copies }, (_, i) => value(firstRow ? `R${i}` : `Y${i}`, layer.out)),
    },
    functions: variant === 'blast-plain' ? [blastFunction()] : [],
  }).finish();
}

function addSlices({ nodes, initializers }: Parts, copies: number): void {
  for (const [name, value] of [
    ['zero', 0],
    ['one', 1],
  ] as const)
    initializers.push({
      name,
      dims: [1],
      dataType: INT64,
      rawData: new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
    });
  for (let i = 0; i < copies; i++)
    nodes.push({ opType: 'Slice', input: [`Y${i}`, 'zero', 'one', 'zero'], output: [`R${i}`] });
}

function blastFunction(): onnx.IFunctionProto {
  const plain = { activation: 'none', interleaved: false, bias: false, ragged: false } as const;
  return portableFunction({ structure: 'blast', ...plain, castFactors: false, type: 'float32' }, OPSET);
}

function addCopy(parts: Parts, layer: BenchLayer, variant: Variant, i: number, random: () => number): void {
  const { in: n, out: m, blocks: b, rank: r } = layer;
  const floats = (name: string, dims: number[]) => {
    const size = dims.reduce((a, d) => a * d, 1);
    const scale = 1 / Math.sqrt(dims.at(-1)!);
    const data = Float32Array.from({ length: size }, () => (random() - 0.5) * scale);
    parts.initializers.push({ name, dims, dataType: FLOAT, rawData: new Uint8Array(data.buffer) });
    return name;
  };
  const bytes = (name: string, dims: number[]) => {
    const rawData = Uint8Array.from({ length: dims[0] * dims[1] }, () => random() * 255 - 127);
    parts.initializers.push({ name, dims, dataType: INT8, rawData });
    return name;
  };
  const halves = (name: string, dims: number[]) => {
    // 2⁻⁶ and 1.5 · 2⁻⁶
    const data = Uint16Array.from({ length: dims.reduce((a, d) => a * d, 1) }, () =>
      random() < 0.5 ? 0x2400 : 0x2600,
    );
    parts.initializers.push({ name, dims, dataType: FLOAT16, rawData: new Uint8Array(data.buffer) });
    return name;
  };
  const op = (opType: string, input: string[], output: string[], domain = '', compute = '') =>
    parts.nodes.push({
      opType,
      input,
      output,
      domain,
      name: `${output[0]}_${opType}`,
      attribute: compute
        ? [
            {
              name: 'compute',
              type: proto.AttributeProto.AttributeType.STRING,
              s: new TextEncoder().encode(compute),
            },
          ]
        : [],
    });
  switch (variant) {
    case 'dense':
      op('MatMul', ['X', floats(`W${i}`, [n, m])], [`Y${i}`]);
      return;
    case 'low-rank':
      op('MatMul', ['X', floats(`V${i}`, [n, r])], [`T${i}`]);
      op('MatMul', [`T${i}`, floats(`U${i}`, [r, m])], [`Y${i}`]);
      return;
    case 'int8': {
      bytes(`W${i}`, [n, m]);
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
    case 'blast':
    case 'blast-bf16':
    case 'blast-plain': {
      const factors = [floats(`V${i}`, [r, n]), floats(`S${i}`, [b, b, r]), floats(`U${i}`, [m, r])];
      const compute = variant === 'blast-bf16' ? 'bfloat16' : '';
      op('BlastMatMul', ['X', ...factors], [`Y${i}`], 'ai.blockrank', compute);
      return;
    }
    case 'blast-int8': {
      const v = [bytes(`V${i}`, [r, n]), halves(`VScale${i}`, [b, r])];
      const u = [bytes(`U${i}`, [m, r]), halves(`UScale${i}`, [m])];
      op('QBlastMatMul', ['X', ...v, halves(`S${i}`, [b, b, r]), ...u], [`Y${i}`], 'ai.blockrank', 'int8');
    }
  }
}

/** Bytes of one weight as each variant stores it. */
export function variantBytes({ in: n, out: m, blocks: b, rank: r }: BenchLayer, variant: Variant): number {
  switch (variant) {
    case 'dense':
      return 4 * n * m;
    case 'int8':
      return n * m;
    case 'low-rank':
      return 4 * r * (n + m);
    case 'blast':
    case 'blast-plain':
    case 'blast-bf16':
      return 4 * r * (n + m + b * b);
    case 'blast-int8':
      return r * (n + m) + 2 * (b * b * r + b * r + m);
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
