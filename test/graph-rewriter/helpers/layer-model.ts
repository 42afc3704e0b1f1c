// Models of one layer, rewritten with known factors and run beside the original.
import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import type { Factors } from '../../../graph-rewriter/factorize/types.js';
import type { FactorType, FloatFactorType, LayerResult } from '../../../graph-rewriter/types.js';
import { encodeModel, type ModelParts, tensor, valueInfo } from './onnx.js';
import { random, relativeDifference } from './reference.js';
import { type Fed, interfaceOf, runModel } from './run.js';
import { type KnownWeight, knownWeight, rewriteKnown, save } from './workspace.js';

export const IN = 24;
export const OUT = 36;

export const W: KnownWeight = knownWeight(
  { structure: 'blast', rank: 4, blocksIn: 3, blocksOut: 4, in: IN, out: OUT },
  42,
);
export const B = random(OUT, 43);

export interface LayerModel extends Partial<Omit<ModelParts, 'nodes'>> {
  readonly nodes: readonly onnx.INodeProto[];
  /** Leading sizes of x. */
  readonly leading?: readonly number[];
  readonly type?: 'float32' | 'float16';
  readonly weights?: Readonly<Record<string, KnownWeight>>;
  /** Of the weight as the rewriter reads it. */
  readonly readTolerance?: number;
}

/** x [leading…, IN] → y [leading…, OUT] through the nodes, with the initializers given. */
export function layerModel(model: LayerModel): Uint8Array {
  const { leading = [2, 5], type = 'float32' } = model;
  const free = leading.map((_, i) => `d${i}`);
  return encodeModel({
    inputs: [valueInfo('x', [...free, IN], type)],
    outputs: [valueInfo('y', [...free, OUT], type)],
    ...model,
  });
}

/** Rewrites, runs both, compares, and returns what was done. */
export async function rewriteAndCompare(
  model: LayerModel,
  options: Comparison = {},
): Promise<{ results: LayerResult[]; target: string; calls: string[] }> {
  const { leading = [2, 5], type = 'float32', weights = { w: W } } = model;
  const data = random(
    leading.reduce((a, b) => a * b, IN),
    5,
  );
  const feeds = { x: { dims: [...leading, IN], data, type } };
  const readTolerance = model.readTolerance ?? (type === 'float16' ? 2e-3 : 1e-6);
  const tolerance = options.tolerance ?? (type === 'float16' ? 5e-3 : 2e-6);
  return rewriteAndRun(save(layerModel(model)), feeds, weights, { ...options, readTolerance, tolerance });
}

export interface Comparison {
  readonly factorType?: FactorType;
  /** Of the outputs. */
  readonly tolerance?: number;
  /** Of the weight as the rewriter reads it. */
  readonly readTolerance?: number;
}

/** The rewritten model has the interface and, with the plugin and without, the outputs of the original. */
export async function rewriteAndRun(
  source: string,
  feeds: Record<string, Fed>,
  weights: Readonly<Record<string, KnownWeight>>,
  { factorType, tolerance = 2e-6, readTolerance = 1e-6 }: Comparison = {},
): Promise<{ results: LayerResult[]; target: string; calls: string[] }> {
  const { target, report, calls } = await rewriteKnown(source, weights, {
    tolerance: readTolerance,
    ...(factorType && { factorType }),
  });
  expect(await interfaceOf(target)).to.deep.equal(await interfaceOf(source));
  const before = await runModel(source, feeds);
  for (const plugin of [false, true]) {
    const after = await runModel(target, feeds, plugin);
    expect(Object.keys(after)).to.deep.equal(Object.keys(before));
    for (const [name, { dims, data }] of Object.entries(before)) {
      expect(after[name].dims).to.deep.equal(dims);
      const difference = relativeDifference(after[name].data, data);
      expect(difference, `${name}, plugin ${plugin}`).to.be.at.most(tolerance);
    }
  }
  return { results: [...report.layers], target, calls };
}

/** The weight as a stored tensor. */
export function weightTensor(
  orientation: 'inOut' | 'outIn',
  name = 'w',
  type: FloatFactorType = 'float32',
  weight = W,
): onnx.ITensorProto {
  const { in: inputs, out } = weight.factors;
  const dims = orientation === 'inOut' ? [inputs, out] : [out, inputs];
  return tensor(name, dims, weight[orientation], type);
}

export function knownSpec(factors: Factors) {
  const { structure, rank, blocksIn, blocksOut } = factors;
  return { structure, rank, blocksIn, blocksOut };
}
