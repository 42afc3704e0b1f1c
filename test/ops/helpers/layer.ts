/** Builds a layer with random factors, runs it in onnxruntime-node and compares it with the float64 loops. */
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { nodeModel, type NodeSpec } from './model.js';
import {
  apply,
  denseWeight,
  throughIntermediates,
  type Expectation,
  type Layer,
  type Structure,
} from './reference.js';
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
  /** bfloat16 for CUDA alone: the model is fed float32 then, with casts around the node. */
  readonly xType?: ElementType;
  /** int8: the operators with Q. */
  readonly factorType?: ElementType;
  /** Of the scales of int8 factors, and S. */
  readonly scaleType?: 'float32' | 'float16';
  readonly bias?: 'none' | 'one' | 'all';
  /** Factors are graph inputs rather than initializers. */
  readonly computedFactors?: boolean;
}

export interface BuiltLayer {
  readonly model: Uint8Array;
  readonly feeds: Record<string, ort.Tensor>;
  readonly expected: Expectation;
  /** Σ of what stage 1 gives times what it is multiplied with: what rounding of the intermediates is proportional to. */
  readonly intermediates: Float64Array;
}

interface LayerFactors {
  /** The node's inputs between X and B. */
  readonly inputs: Readonly<Record<string, Values>>;
  /** The factors that these stand for. */
  readonly V: Values;
  readonly U: Values;
  readonly S?: Values;
}

function factors(spec: LayerSpec, layer: Layer, random: () => number): LayerFactors {
  if (spec.factorType === 'int8') return int8Factors(spec, layer, random);
  const type = spec.factorType ?? 'float32';
  const { in: n, out: m, blocksIn, blocksOut, rank } = layer;
  const monarch = spec.structure === 'MonarchMatMul';
  const scaled = (scale: number) => () => random() * scale;
  const V = values(type, monarch ? [blocksOut, rank, n] : [rank, n], scaled(1 / Math.sqrt(n)));
  const S =
    spec.structure === 'BlastMatMul' ? values(type, [blocksOut, blocksIn, rank], scaled(1)) : undefined;
  const U = values(type, monarch ? [m, blocksIn, rank] : [m, rank], scaled(1 / Math.sqrt(rank)));
  return S ? { inputs: { V, S, U }, V, U, S } : { inputs: { V, U }, V, U };
}

/** Integers and scales at random; the scale of row n and block j of V at [i, j, k] or [j, k], n = i·r + k. */
function int8Factors(spec: LayerSpec, layer: Layer, random: () => number): LayerFactors {
  const type = spec.scaleType ?? 'float32';
  const { in: n, out: m, blocksIn, blocksOut, rank } = layer;
  const monarch = spec.structure === 'MonarchMatMul';
  const integer = () => Math.max(-127, Math.min(127, Math.round(random() * 42)));
  const scale = (terms: number) => () => (1 + Math.abs(random())) / (42 * Math.sqrt(terms));
  const V = values('int8', monarch ? [blocksOut, rank, n] : [rank, n], integer);
  const U = values('int8', monarch ? [m, blocksIn, rank] : [m, rank], integer);
  const low = spec.structure === 'LowRankMatMul';
  const vShape = monarch ? [blocksOut, blocksIn, rank] : low ? [rank] : [blocksIn, rank];
  const VScale = values(type, vShape, scale(n));
  const UScale = values(type, monarch ? [m, blocksIn] : [m], scale(rank));
  const S =
    spec.structure === 'BlastMatMul' ? values(type, [blocksOut, blocksIn, rank], () => random()) : undefined;
  const p = Math.ceil(n / blocksIn);
  const of = (tensor: Values, scaleAt: (index: number) => number) => ({
    ...tensor,
    data: tensor.data.map((value, index) => value * scaleAt(index)),
  });
  return {
    inputs: S ? { V, VScale, S, U, UScale } : { V, VScale, U, UScale },
    V: of(V, (index) => {
      const row = Math.floor(index / n);
      const j = Math.floor((index % n) / p);
      return VScale.data[(Math.floor(row / rank) * blocksIn + j) * rank + (row % rank)];
    }),
    U: of(U, (index) => UScale.data[Math.floor(index / rank)]),
    ...(S && { S }),
  };
}

/** onnxruntime-node takes fp16 as Uint16Array; it has no bf16 tensors, whose values float32 holds. */
function toTensor(v: Values): ort.Tensor {
  const { bytes, dims } = v;
  if (v.type === 'float32') return new ort.Tensor('float32', new Float32Array(bytes.buffer), dims);
  if (v.type === 'int8') return new ort.Tensor('int8', new Int8Array(bytes.buffer), dims);
  if (v.type === 'float16') return new ort.Tensor('float16', new Uint16Array(bytes.buffer), dims);
  return new ort.Tensor('float32', Float32Array.from(v.data), dims);
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
  const { V, S, U, inputs: stored } = factors(spec, layer, random);
  const B =
    spec.bias === undefined || spec.bias === 'none'
      ? undefined
      : values(xType, [spec.bias === 'one' ? 1 : layer.out], random);
  const X = values(xType, [...spec.leading, layer.in], random);
  const rest = { ...stored, ...(B ? { B } : {}) };
  const inputs = { X, ...rest };
  const computed: Record<string, Values> = spec.computedFactors ? rest : {};
  const model = nodeModel({
    op: `${spec.factorType === 'int8' ? 'Q' : ''}${spec.structure}${spec.suffix ?? ''}`,
    castX: true,
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
  return {
    model,
    feeds,
    expected: apply(layer, denseWeight(layer, V, U, S), X, B, spec.activation),
    intermediates: throughIntermediates(layer, X, V, U, S),
  };
}

/** Largest relative error of rounding to the type. */
const ROUNDING = { float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8, int8: 0 } as const;

/**
 * fp32 sums of n terms are off by at most n·2⁻²⁴ of the sum of magnitudes; 16-bit results are rounded once. The GPU's
 * kernels for one 16-bit type also round t and z to it (`intermediates`), at most one time each.
 */
function tolerances(spec: LayerSpec, layer: BuiltLayer, on: ExecutionProvider): Float64Array {
  const { in: n, rank, blocksIn } = spec.sizes;
  const { xType = 'float32', factorType = 'float32' } = spec;
  const terms = n + blocksIn * (rank + 1) + 6;
  const stored = xType === 'float32' ? 0 : ROUNDING[xType];
  const kept = on === 'cuda' && xType === factorType && xType !== 'float32' ? 2 * ROUNDING[xType] : 0;
  return layer.expected.y.map(
    (y, i) =>
      1.2 * (terms * 2 ** -24 * layer.expected.magnitude[i] + kept * layer.intermediates[i]) +
      stored * Math.abs(y) +
      1e-7,
  );
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

export type ExecutionProvider = 'cpu' | 'cuda';

/** Asserts type, shape and every element of the layer's output. */
export async function expectLayer(spec: LayerSpec, on: ExecutionProvider = 'cpu'): Promise<void> {
  await expectLeadings(spec, [spec.leading], on);
}

/** The same in one session, for several X with as many leading dimensions as the first. */
export async function expectLeadings(
  spec: LayerSpec,
  leadings: readonly (readonly number[])[],
  on: ExecutionProvider,
): Promise<void> {
  const { model } = buildLayer({ ...spec, leading: leadings[0] });
  const options = { intraOpNumThreads: 2, executionProviders: [on] };
  const session = await ort.InferenceSession.create(model, options);
  for (const leading of leadings) {
    const layer = buildLayer({ ...spec, leading });
    const { Y } = await session.run(layer.feeds);
    expect(Y.type).to.equal(spec.xType === 'float16' ? 'float16' : 'float32');
    expect(Y.dims).to.deep.equal([...leading, spec.sizes.out]);
    expectValues(Y, layer.expected.y, tolerances(spec, layer, on));
  }
  await session.release();
}

/** ‖Y − expected‖ / ‖expected‖ */
export function relativeError(Y: ort.Tensor, expected: Float64Array): number {
  const stored = Y.data as Float32Array | Uint16Array;
  let [error, norm] = [0, 0];
  expected.forEach((y, i) => {
    const found = Y.type === 'float16' ? decodeHalf(stored[i]) : stored[i];
    error += (found - y) ** 2;
    norm += y ** 2;
  });
  return Math.sqrt(error / norm);
}

function expectValues(Y: ort.Tensor, expected: Float64Array, tolerance: Float64Array): void {
  const stored = Y.data as Float32Array | Uint16Array;
  expect(stored.length).to.equal(expected.length);
  for (let i = 0; i < stored.length; i++) {
    const found = Y.type === 'float16' ? decodeHalf(stored[i]) : stored[i];
    if (!(Math.abs(found - expected[i]) <= tolerance[i])) {
      expect.fail(
        `element ${i}: expected ${expected[i]} ± ${tolerance[i]}, found ${found} (${Y.dims.join('×')})`,
      );
    }
  }
}
