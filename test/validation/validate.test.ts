import { expect } from 'chai';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { loadAddon } from '../../src/loader/addon.js';
import { locateLibrary } from '../../src/loader/locate.js';
import { register, unregister } from '../../src/loader/register.js';
import { rewrite } from '../../src/rewrite.js';
import { createSession } from '../../src/session.js';
import { withPlugin } from '../../src/validation/plugin.js';
import { validate, type ValidateOptions } from '../../src/validation/validate.js';
import {
  FLOAT,
  encodeModel,
  encodeTensor,
  matMulModel,
  scratch,
  type Scratch,
} from './helpers/tiny-model.js';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { nodeModel } from '../ops/helpers/model.js';
import { values } from '../ops/helpers/values.js';

const NO_PLUGIN: ValidateOptions = { plugin: false, runs: 0 };

const failure = async (promise: Promise<unknown>): Promise<BlockrankError> => {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(BlockrankError);
  return error as BlockrankError;
};

const isRegistered = () =>
  loadAddon()
    .runtimes()
    .some((runtime) => runtime.libraries.length > 0);

/** Whether a session that is made now has them: one of a model that has nothing else to run. */
async function knowsOperators(): Promise<boolean> {
  const zeros = (dims: number[]) => values('float32', dims, () => 0);
  const inputs = { X: zeros([1, 2]), V: zeros([1, 2]), U: zeros([2, 1]) };
  const model = nodeModel({ op: 'LowRankMatMul', inputs, graphInputs: { X: [1, 2] } });
  return ort.InferenceSession.create(model).then(
    (session) => session.release().then(() => true),
    () => false,
  );
}

/** A model of one operator from x [batch, 2] to y. */
const unary = (op: string, output = 'y', shape: (string | number)[] = ['batch', 2]) =>
  encodeModel({
    inputs: [{ name: 'x', shape: ['batch', 2] }],
    outputs: [{ name: output, shape }],
    nodes: [{ op, inputs: ['x'], outputs: [output] }],
  });

describe('validate', () => {
  let files: Scratch;
  let original: string;

  before(async () => {
    files = await scratch();
    original = await files.write('original.onnx', matMulModel(4, 3, Math.sin));
  });
  after(() => files.remove());

  it('passes a model compared with itself, with identical outputs', async () => {
    const report = await validate(original, original, { ...NO_PLUGIN, atol: 0, rtol: 0 });
    expect(report.passed).to.equal(true);
    expect(report.comparisons).to.have.length(1);
    expect(report.comparisons[0]).to.include({ output: 'y', elements: 3, mismatched: 0 });
    expect(report.timing).to.equal(null);
  });

  it('fails a model with another weight and states the tolerance that would have passed', async () => {
    const other = await files.write(
      'other.onnx',
      matMulModel(4, 3, (i) => Math.sin(i) + (i === 5 ? 0.1 : 0)),
    );
    const options = { ...NO_PLUGIN, inputs: { shapes: { x: [8, 4] }, count: 3, seed: 7 } };
    const failed = await validate(original, other, options);
    expect(failed.passed).to.equal(false);
    expect(failed.dataSets).to.have.length(3);
    const atol = Math.max(...failed.comparisons.map((comparison) => comparison.required.atol));
    expect((await validate(original, other, { ...options, atol: atol * 1.001 })).passed).to.equal(true);
    expect((await validate(original, other, { ...options, atol: atol * 0.99 })).passed).to.equal(false);
  });

  it('takes tolerances by output and refuses one for an output that is not there', async () => {
    const other = await files.write(
      'shifted.onnx',
      matMulModel(4, 3, (i) => Math.sin(i) + 0.01),
    );
    expect((await validate(original, other, { ...NO_PLUGIN, outputs: { y: { atol: 1 } } })).passed).to.equal(
      true,
    );
    const error = await failure(validate(original, other, { ...NO_PLUGIN, outputs: { z: { atol: 1 } } }));
    expect(error.code).to.equal('INVALID_ARGUMENT');
    expect(error.message).to.contain("output 'z', and the original has 'y'");
  });

  it('refuses a negative tolerance', async () => {
    const error = await failure(validate(original, original, { ...NO_PLUGIN, atol: -1 }));
    expect(error.message).to.equal('atol must be a number of at least 0, found -1');
  });

  it('fails NaN even where both models give it', async () => {
    const nan = await files.write('nan.onnx', unary('Log'));
    const bytes = encodeTensor({ name: 'x', dims: [1, 2], dataType: FLOAT, floatData: [-1, 1] });
    await mkdir(join(files.folder, 'nan'));
    await writeFile(join(files.folder, 'nan/input_0.pb'), bytes);
    const inputs = { paths: [join(files.folder, 'nan')] };
    const report = await validate(nan, nan, { ...NO_PLUGIN, inputs });
    expect(report.passed).to.equal(false);
    expect(report.comparisons[0].nonFinite).to.deep.equal({ reference: 1, candidate: 1 });
  });

  it('fails another output shape', async () => {
    const identity = await files.write('identity.onnx', unary('Identity'));
    const transposed = await files.write('transposed.onnx', unary('Transpose', 'y', [2, 'batch']));
    const report = await validate(identity, transposed, NO_PLUGIN);
    expect(report.comparisons[0].failure).to.equal('shape is [2, 1], expected [1, 2]');
  });

  it('fails outputs that only one of the models has', async () => {
    const left = await files.write('left.onnx', unary('Identity', 'a'));
    const right = await files.write('right.onnx', unary('Identity', 'b'));
    const { passed, comparisons } = await validate(left, right, NO_PLUGIN);
    expect(passed).to.equal(false);
    expect(comparisons.map(({ output, failure }) => [output, failure])).to.deep.equal([
      ['a', 'the rewritten model lacks this output'],
      ['b', 'the original lacks this output'],
    ]);
  });

  it('compares the original with the expected outputs of a data set', async () => {
    const identity = await files.write('identity.onnx', unary('Identity'));
    const tensor = (name: string, floatData: number[]) =>
      encodeTensor({ name, dims: [1, 2], dataType: FLOAT, floatData });
    await mkdir(join(files.folder, 'expected'));
    await writeFile(join(files.folder, 'expected/input_0.pb'), tensor('x', [1, 2]));
    await writeFile(join(files.folder, 'expected/output_0.pb'), tensor('y', [1, 3]));
    const inputs = { paths: [join(files.folder, 'expected')] };
    const report = await validate(identity, identity, { ...NO_PLUGIN, inputs });
    expect(report.comparisons.map(({ compared, passed }) => [compared, passed])).to.deep.equal([
      ['rewritten with original', true],
      ['original with expected', false],
    ]);
    expect(report.passed).to.equal(false);
  });

  it('refuses to call it a success when nothing was compared', async () => {
    const inputs = { shapes: { x: [0, 4] } };
    const empty = await failure(validate(original, original, { ...NO_PLUGIN, inputs }));
    expect(empty.code).to.equal('INVALID_INPUTS');
    expect(empty.message).to.contain('nothing was compared');
    const none = await failure(validate(original, original, { ...NO_PLUGIN, inputs: { count: 0 } }));
    expect(none.message).to.contain('nothing was compared');
  });

  it('refuses models with different inputs', async () => {
    const other = encodeModel({
      inputs: [{ name: 'z', shape: ['batch', 4] }],
      outputs: [{ name: 'y', shape: ['batch', 4] }],
      nodes: [{ op: 'Identity', inputs: ['z'], outputs: ['y'] }],
    });
    const error = await failure(validate(original, await files.write('z.onnx', other), NO_PLUGIN));
    expect(error.message).to.contain("original's inputs are x, the other's are z");
  });

  it('names a model that cannot be opened and a data set that it fails on', async () => {
    const missing = await failure(validate('/no/such.onnx', original, NO_PLUGIN));
    expect(missing.code).to.equal('IO');
    expect(missing.message).to.equal('/no/such.onnx: there is no such file');
    const text = await files.write('text.onnx', new TextEncoder().encode('this is no model'));
    const unreadable = await failure(validate(text, original, NO_PLUGIN));
    expect(unreadable.code).to.equal('SESSION');
    expect(unreadable.message).to.contain(`${text} could not be opened by onnxruntime-node`);
    const broken = await files.write('broken.onnx', matMulModel(5, 3, Math.sin));
    const failed = await failure(validate(original, broken, NO_PLUGIN));
    expect(failed.message).to.contain("the rewritten model failed on data set 'random 0 (seed 0)'");
  });

  it('gives validations and sessions that run at once the operators that each asks for', async () => {
    const rewritten = join(files.folder, 'rewritten.onnx');
    const dense = await files.write('dense.onnx', matMulModel(64, 64, Math.sin));
    await rewrite(dense, rewritten, { structure: 'low-rank', rank: 4, minSize: 1, keepDenseIfSlower: false });
    const known: boolean[] = [];
    const observe = async (wanted: boolean) => {
      await withPlugin(wanted, async () => {
        await setImmediate();
        known.push((await knowsOperators()) === wanted);
      });
    };
    const registered = createSession(rewritten, { device: 'cpu' }).then(() => known.push(isRegistered()));
    await Promise.all([observe(true), observe(false), observe(true), registered]);
    expect(known).to.deep.equal([true, true, true, true]);
    unregister();
  });

  it('leaves a library that the application registered in place of ours', async () => {
    const library = join(files.folder, 'libmine.so');
    await copyFile(locateLibrary(), library);
    register({ library });
    try {
      await validate(original, original, { runs: 0 });
      expect(loadAddon().runtimes()[0].libraries).to.deep.equal([library]);
    } finally {
      unregister();
    }
  });

  it('times both models turn by turn', async () => {
    const steps: string[] = [];
    const report = await validate(original, original, {
      plugin: false,
      runs: 3,
      onProgress: ({ step }) => steps.push(step),
    });
    expect(report.timing!.runs).to.equal(3);
    expect(report.timing!.original).to.be.greaterThan(0);
    expect(report.timing!.speedup).to.equal(report.timing!.original / report.timing!.rewritten);
    expect(steps).to.deep.equal(['opening models', 'comparing', ...Array<string>(5).fill('timing')]);
  });

  it('stops when it is aborted', async () => {
    const abort = new AbortController();
    const report = validate(original, original, {
      ...NO_PLUGIN,
      inputs: { count: 100 },
      signal: abort.signal,
      onProgress: ({ step }) => step === 'comparing' && abort.abort(),
    });
    expect((await failure(report)).code).to.equal('ABORTED');
  });
});
