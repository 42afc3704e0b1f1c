// Compares the gradient of a graph, built as further nodes, with central differences of the graph itself.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import onnxProto, { type onnx } from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import { differentiate, findPaths } from '../../graph-rewriter/gradient/backward.js';
import { GradientBuilder } from '../../graph-rewriter/gradient/builder.js';
import { Model } from '../../graph-rewriter/model.js';
import { encodeModel, type ModelParts } from '../graph-rewriter/helpers/onnx.js';

const { onnx: proto } = onnxProto;
const DOUBLE = 11;
const FLOAT = 1;

export interface Case {
  readonly nodes: readonly onnx.INodeProto[];
  /** Of the inputs x0, x1 …, each of which is differentiated. */
  readonly inputs: readonly (readonly number[])[];
  readonly constants?: readonly onnx.ITensorProto[];
  readonly opset?: number;
  /** Where ONNX Runtime has no kernel in double. */
  readonly single?: boolean;
  /** Values of the inputs; standard normal when absent. */
  readonly fill?: (random: () => number) => number;
  readonly outputs?: number;
  /** Added to the graph's own opset imports. */
  readonly domains?: readonly string[];
}

export const outputNames = (count = 1) => Array.from({ length: count }, (_, i) => `y${i}`);

/** Σ_i ⟨v_i, y_i(x)⟩ must have the gradient that the built nodes compute, in every element of every input. */
export async function checkGradient(example: Case): Promise<void> {
  const type = example.single ? 'float32' : 'float64';
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-gradient-'));
  try {
    const { forward, backward, inputs } = await build(folder, example);
    const random = randomNormal(3);
    const fill = example.fill ?? ((normal: () => number) => normal());
    const x = example.inputs.map((dims) => Float64Array.from({ length: count(dims) }, () => fill(random)));
    const feeds = (values: readonly Float64Array[]) =>
      Object.fromEntries(values.map((data, i) => [inputs[i], tensor(type, data, example.inputs[i])]));
    const names = outputNames(example.outputs);
    const outputs = await forward.run(feeds(x));
    const v = new Map(names.map((name) => [name, randomLike(outputs[name], random)]));
    const loss = async (values: readonly Float64Array[]) => {
      const run = await forward.run(feeds(values));
      return names.reduce((sum, name) => sum + dot(run[name].data as Float64Array, v.get(name)!), 0);
    };
    const seeds = names.map((name) => [`v.${name}`, tensor(type, v.get(name)!, outputs[name].dims)] as const);
    const results = await backward.run({ ...feeds(x), ...Object.fromEntries(seeds) });
    for (const [i, name] of inputs.entries()) {
      expect(results[`g.${name}`].dims, `shape of the gradient of ${name}`).to.eql([...example.inputs[i]]);
      const expected = await centralDifferences(loss, x, i, example.single ? 2 ** -5 : 1e-3);
      expectClose(results[`g.${name}`].data as Float64Array, expected, example.single ? 2e-3 : 1e-7);
    }
    await forward.release();
    await backward.release();
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Richardson's extrapolation of two central differences: an error of h⁴. */
async function centralDifferences(
  loss: (values: readonly Float64Array[]) => Promise<number>,
  x: readonly Float64Array[],
  input: number,
  h: number,
): Promise<Float64Array> {
  const slope = async (at: number, step: number) => {
    const moved = (by: number) =>
      x.map((values, i) =>
        i === input ? values.map((value, n) => (n === at ? value + by : value)) : values,
      );
    return ((await loss(moved(step))) - (await loss(moved(-step)))) / (2 * step);
  };
  const result = new Float64Array(x[input].length);
  for (let at = 0; at < result.length; at++)
    result[at] = (4 * (await slope(at, h)) - (await slope(at, 2 * h))) / 3;
  return result;
}

export function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(found.length).to.equal(expected.length);
  const peak = Math.max(1e-3, ...Array.from(expected, Math.abs));
  Array.from(expected).forEach((value, i) =>
    expect(found[i], `element ${i}`).to.be.closeTo(value, tolerance * peak),
  );
}

/** The model with its gradient nodes and the inputs v.y0 … behind it. */
async function build(folder: string, example: Case) {
  const { nodes, constants = [], opset = 20, single, domains } = example;
  const elemType = single ? FLOAT : DOUBLE;
  const info = (name: string): onnx.IValueInfoProto => ({ name, type: { tensorType: { elemType } } });
  const inputs = example.inputs.map((_, i) => `x${i}`);
  const outputs = outputNames(example.outputs);
  const parts: ModelParts = {
    nodes,
    inputs: inputs.map(info),
    outputs: outputs.map(info),
    initializers: constants,
    opset,
    irVersion: 8,
    ...(domains ? { domains } : {}),
  };
  const bytes = encodeModel(parts);
  const path = join(folder, 'model.onnx');
  await writeFile(path, bytes);
  const model = Model.open(path);
  try {
    const b = new GradientBuilder(opset);
    const paths = findPaths(model.graph, opset, inputs, outputs);
    expect(paths.blocked.map((node) => node.opType)).to.eql([]);
    const gradients = differentiate(
      model.graph,
      b,
      paths,
      outputs.map((name) => [name, `v.${name}`]),
    );
    for (const name of inputs) b.named(`g.${name}`, gradients.get(name)!);
    const graph = {
      node: b.nodes,
      input: outputs.map((name) => info(`v.${name}`)),
      output: inputs.map((name) => info(`g.${name}`)),
    };
    const opsetImport = domains ? [] : [{ domain: 'com.microsoft', version: 1 }];
    const tail = proto.ModelProto.encode(proto.ModelProto.fromObject({ graph, opsetImport })).finish();
    const open = (model: Uint8Array) => InferenceSession.create(model, { logSeverityLevel: 3 });
    return { forward: await open(bytes), backward: await open(Uint8Array.from([...bytes, ...tail])), inputs };
  } finally {
    model.close();
  }
}

const randomLike = ({ dims }: Tensor, random: () => number) =>
  Float64Array.from({ length: count(dims) }, random);

function tensor(type: 'float32' | 'float64', data: Float64Array, dims: readonly number[]): Tensor {
  return type === 'float64'
    ? new Tensor('float64', data, dims)
    : new Tensor('float32', Float32Array.from(data), dims);
}

const count = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);
const dot = (a: ArrayLike<number>, b: Float64Array) => b.reduce((sum, value, i) => sum + value * a[i], 0);
