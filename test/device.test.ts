import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { optionsOn, place } from '../src/device.js';
import { seededRandom } from '../src/inputs/random.js';
import { report } from '../src/report/report.js';
import { rewrite } from '../src/rewrite.js';
import { validate } from '../src/validation/validate.js';
import { npz } from './inputs/helpers/npz.js';
import { encodeModel, scratch, type Scratch } from './validation/helpers/tiny-model.js';

const SIZE = 24;
const ROWS = 96;

/** Three layers with an activation between: calibrated, differentiated and walked through. */
function network(): Uint8Array {
  const random = seededRandom(3);
  const weight = (name: string) => ({
    name,
    dims: [SIZE, SIZE],
    data: Array.from({ length: SIZE * SIZE }, () => random() - 0.5),
  });
  return encodeModel({
    inputs: [{ name: 'x', shape: ['batch', SIZE] }],
    outputs: [{ name: 'y', shape: ['batch', SIZE] }],
    nodes: [
      { op: 'MatMul', inputs: ['x', 'A'], outputs: ['a'] },
      { op: 'Tanh', inputs: ['a'], outputs: ['b'] },
      { op: 'MatMul', inputs: ['b', 'B'], outputs: ['c'] },
      { op: 'Tanh', inputs: ['c'], outputs: ['d'] },
      { op: 'MatMul', inputs: ['d', 'C'], outputs: ['y'] },
    ],
    weights: [weight('A'), weight('B'), weight('C')],
  });
}

async function problemOf(promise: Promise<unknown>): Promise<BlockrankError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, 'nothing was thrown').to.be.instanceOf(BlockrankError);
  return error as BlockrankError;
}

type Create = (model: unknown, options?: ort.InferenceSession.SessionOptions) => Promise<unknown>;

/** The execution providers of every session that `action` creates; all of them run on the CPU in fact. */
async function providersOf(action: () => Promise<unknown>): Promise<unknown[]> {
  const factory = ort.InferenceSession as unknown as { create: Create };
  const original = factory.create;
  const seen: unknown[] = [];
  factory.create = (model, options) => {
    seen.push(options?.executionProviders);
    return original.call(factory, model, { ...options, executionProviders: ['cpu'] });
  };
  try {
    await action();
  } finally {
    factory.create = original;
  }
  return seen;
}

describe('device', () => {
  let files: Scratch;
  let model: string;
  const random = seededRandom(9);
  const numbers = Float32Array.from({ length: ROWS * SIZE }, () => random() - 0.5);
  const calibration = () => [{ x: new ort.Tensor('float32', numbers, [ROWS, SIZE]) }];
  const options = {
    keepDenseIfSlower: false,
    structure: 'low-rank',
    minSize: 0,
    keep: 0.8,
    sensitivity: 'gradient',
  } as const;
  const target = (name: string) => join(files.folder, name);

  before(async () => {
    files = await scratch();
    model = await files.write('model.onnx', network());
  });
  after(() => files.remove());

  it('is the one asked for, or for auto the GPU or a reason', async () => {
    expect(await place('cpu')).to.deep.equal({ provider: 'cpu' });
    const { provider, fallback } = await place('auto');
    if (provider === 'cuda') expect(fallback).to.equal(undefined);
    else expect(fallback).to.match(/CUDA|cuda/);
  });

  it('hands its provider to every session of a rewrite: calibration, gradients, the walk and the products', async () => {
    const gpu = { executionProviders: ['cuda'] };
    const seen = await providersOf(() =>
      rewrite(model, target('all.onnx'), { ...options, calibration: calibration(), sessionOptions: gpu }),
    );
    // Covariances, gradients, two sides of the stages, sums of products, and the engine's products.
    expect(seen.length).to.be.at.least(7);
    expect(new Set(seen.map((providers) => JSON.stringify(providers)))).to.deep.equal(new Set(['["cuda"]']));
  });

  it('hands its provider to the sessions of a one-shot rewrite, of validate and of report', async () => {
    const gpu = { executionProviders: ['cuda'] };
    const path = await files.write('set.npz', npz({ x: { dims: [ROWS, SIZE], data: numbers } }));
    const inputs = { paths: [path] };
    const out = target('once.onnx');
    const seen = await providersOf(async () => {
      await rewrite(model, out, {
        ...options,
        calibration: calibration(),
        sequential: false,
        sessionOptions: gpu,
      });
      await validate(model, out, { inputs, runs: 0, sessionOptions: gpu });
      await report(model, out, { inputs, sessionOptions: gpu });
    });
    expect(seen.length).to.be.at.least(8);
    expect(new Set(seen.map((providers) => JSON.stringify(providers)))).to.deep.equal(new Set(['["cuda"]']));
  });

  it('says where auto runs, and writes what the CPU writes where it falls back', async function () {
    if ((await place('auto')).provider === 'cuda') this.skip();
    const steps: string[] = [];
    const errors = async (name: string, device: 'auto' | 'cpu') => {
      const { layers } = await rewrite(model, target(name), {
        ...options,
        device,
        calibration: calibration(),
        onProgress: ({ step }) => steps.push(step),
      });
      return layers.map(({ result }) => result?.weightedError);
    };
    expect(await errors('auto.onnx', 'auto')).to.deep.equal(await errors('cpu.onnx', 'cpu'));
    expect(steps.filter((step) => step.startsWith('running on the CPU: '))).not.to.deep.equal([]);
  });

  it('never falls back from cuda in silence, and then writes nothing', async function () {
    if ((await place('auto')).provider === 'cuda') this.skip();
    for (const refused of [
      () => rewrite(model, target('no.onnx'), { ...options, device: 'cuda', calibration: calibration() }),
      () => validate(model, model, { device: 'cuda' }),
      () => report(model, model, { device: 'cuda' }),
    ]) {
      const problem = await problemOf(refused());
      expect(problem.code).to.equal('SESSION');
      expect(problem.message).to.include('CUDA was asked for').and.to.include('doctor');
    }
    expect(existsSync(target('no.onnx'))).to.equal(false);
  });

  it('is refused beside execution providers, and where there is no such device', async () => {
    const both = await problemOf(optionsOn('cpu', { executionProviders: ['cpu'] }));
    expect(both.code).to.equal('INVALID_ARGUMENT');
    const unknown = await problemOf(place('tpu' as 'cpu'));
    expect(unknown.message).to.include("'tpu'").and.to.include('auto, cuda, cpu');
  });
});
