/** Builds a layer with random factors, runs it in onnxruntime-node and compares it with the float64 loops. */
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { nodeModel, type NodeSpec } from './model.js';
import { apply, denseWeight, type Expectation, type Layer, type Structure } from './reference.js';
import { decodeHalf, normals, values, type ElementType, type Values } from './values.js';

export interface LayerSpec {
  readonly structure: Structure;
  readonly sizes: { in: number; out: number; blocksIn: number; blocksOut: number; rank: number };
  /** Dimensions before X's last. */
  readonly leading: readonly number[];
  readonly suffix?: string;
  readonly activation?: string;
  readonly attributes?: NodeSpec['attributes'];
  readonly interleaved?: boolean;
  readonly xType?: 'float32' | 'float16';
  readonly factorType?: ElementType;
  readonly bias?: 'none' | 'one' | 'all';
  /** Factors are graph inputs rather than initializers. */
  readonly computedFactors?: boolean;
}

export interface BuiltLayer {
  readonly model: Uint8Array;
  readonly feeds: Record<string, ort.Tensor>;
  readonly expected: Expectation;
}

function factors(spec: LayerSpec, layer: Layer, random: () => number) {
  const type = spec.factorType ?? 'float32';
  const { in: n, out: m, blocksIn, blocksOut, rank } = layer;
  const monarch = spec.structure === 'MonarchMatMul';
  const scaled = (scale: number) => () => random() * scale;
  const V = values(type, monarch ? [blocksOut, rank, n] : [rank, n], scaled(1 / Math.sqrt(n)));
  const S =
    spec.structure === 'BlastMatMul' ? values(type, [blocksOut, blocksIn, rank], scaled(1)) : undefined;
  const U = values(type, monarch ? [m, blocksIn, rank] : [m, rank], scaled(1 / Math.sqrt(rank)));
  return { V, S, U };
}

/** onnxruntime-node takes fp16 as Uint16Array; it has no bf16 tensors. */
function toTensor(v: Values): ort.Tensor {
  const { bytes, dims } = v;
  if (v.type === 'float32') return new ort.Tensor('float32', new Float32Array(bytes.buffer), dims);
  if (v.type === 'float16') return new ort.Tensor('float16', new Uint16Array(bytes.buffer), dims);
  throw new Error('onnxruntime-node cannot be fed bfloat16');
}

export function buildLayer(spec: LayerSpec): BuiltLayer {
  const random = normals(1);
  const one = spec.structure === 'LowRankMatMul' ? { blocksIn: 1, blocksOut: 1 } : {};
  const layer: Layer = {
    ...spec.sizes,
    ...one,
    structure: spec.structure,
    interleaved: spec.interleaved ?? false,
  };
  const xType = spec.xType ?? 'float32';
  const { V, S, U } = factors(spec, layer, random);
  const X = values(xType, [...spec.leading, layer.in], random);
  const B =
    spec.bias === undefined || spec.bias === 'none'
      ? undefined
      : values(xType, [spec.bias === 'one' ? 1 : layer.out], random);
  const inputs = { X, V, ...(S ? { S } : {}), U, ...(B ? { B } : {}) };
  const computed = spec.computedFactors ? { V, ...(S ? { S } : {}), U, ...(B ? { B } : {}) } : {};
  const model = nodeModel({
    op: spec.structure + (spec.suffix ?? ''),
    inputs,
    graphInputs: {
      X: [...spec.leading.map((_, i) => `d${i}`), layer.in],
      ...Object.fromEntries(Object.keys(computed).map((name) => [name, null])),
    },
    ...(spec.attributes ? { attributes: spec.attributes } : {}),
  });
  const feeds = Object.fromEntries(
    Object.entries({ X, ...computed }).map(([name, v]) => [name, toTensor(v)]),
  );
  return { model, feeds, expected: apply(layer, denseWeight(layer, V, U, S), X, B, spec.activation) };
}

/** fp32 sums of n terms are off by at most n·2⁻²⁴ of the sum of magnitudes; fp16 results are rounded to 11 bits once. */
function tolerances(spec: LayerSpec, expected: Expectation): Float64Array {
  const { in: n, rank, blocksIn } = spec.sizes;
  const terms = n + blocksIn * (rank + 1) + 4;
  const half = spec.xType === 'float16' ? 2 ** -11 : 0;
  return expected.y.map((y, i) => 1.2 * terms * 2 ** -24 * expected.magnitude[i] + half * Math.abs(y) + 1e-7);
}

export async function runLayer(
  layer: BuiltLayer,
  options: ort.InferenceSession.SessionOptions = {},
): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(layer.model, options);
  const { Y } = await session.run(layer.feeds);
  await session.release();
  return Y;
}

/** Asserts type, shape and every element of the layer's output. */
export async function expectLayer(spec: LayerSpec): Promise<void> {
  const layer = buildLayer(spec);
  const Y = await runLayer(layer, { intraOpNumThreads: 2 });
  expect(Y.type).to.equal(spec.xType ?? 'float32');
  expect(Y.dims).to.deep.equal([...spec.leading, spec.sizes.out]);
  const stored = Y.data as Float32Array | Uint16Array;
  expect(stored.length).to.equal(layer.expected.y.length);
  const tolerance = tolerances(spec, layer.expected);
  for (let i = 0; i < stored.length; i++) {
    const found = spec.xType === 'float16' ? decodeHalf(stored[i]) : stored[i];
    const wanted = layer.expected.y[i];
    if (!(Math.abs(found - wanted) <= tolerance[i])) {
      expect.fail(`element ${i}: expected ${wanted} ± ${tolerance[i]}, found ${found}`);
    }
  }
}
