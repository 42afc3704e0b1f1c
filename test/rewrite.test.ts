import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { seededRandom } from '../src/inputs/random.js';
import { STRUCTURES } from '../graph-rewriter/factorize/types.js';
import type { Progress } from '../src/progress.js';
import { planModel, rewrite } from '../src/rewrite.js';
import { npz } from './inputs/helpers/npz.js';
import { validate } from '../src/validation/validate.js';
import { encodeModel, scratch, type Scratch } from './validation/helpers/tiny-model.js';

const SIZE = 72;

/** x → W → y and z → W → w: one weight, two inputs. */
function sharedWeight(): Uint8Array {
  const random = seededRandom(5);
  const shape = ['batch', SIZE];
  return encodeModel({
    inputs: ['x', 'z'].map((name) => ({ name, shape })),
    outputs: ['y', 'w'].map((name) => ({ name, shape })),
    nodes: [
      { op: 'MatMul', inputs: ['x', 'W'], outputs: ['y'] },
      { op: 'MatMul', inputs: ['z', 'W'], outputs: ['w'] },
    ],
    weights: [
      { name: 'W', dims: [SIZE, SIZE], data: Array.from({ length: SIZE * SIZE }, () => random() - 0.5) },
    ],
  });
}

/** Rows that use the features from `first` to `first + count` alone. */
function rows(first: number, count: number, seed: number): ort.Tensor {
  const random = seededRandom(seed);
  const data = new Float32Array(100 * SIZE);
  for (let row = 0; row < 100; row++) {
    for (let i = first; i < first + count; i++) data[row * SIZE + i] = random() - 0.5;
  }
  return new ort.Tensor('float32', data, [100, SIZE]);
}

describe('rewrite', () => {
  let files: Scratch;
  let model: string;
  const target = (name: string) => join(files.folder, name);

  before(async () => {
    files = await scratch();
    model = await files.write('model.onnx', sharedWeight());
  });
  after(() => files.remove());

  it('counts a weight once in its progress, and ends with all done', async () => {
    const seen: Progress[] = [];
    await rewrite(model, target('a.onnx'), {
      keepDenseIfSlower: false,
      structure: 'low-rank',
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen[0].step).to.equal(`reading ${model}`);
    const factorizing = seen.filter(({ step }) => step.startsWith('factorizing'));
    expect(factorizing.at(-1)).to.include({ done: 1, total: 1 });
  });

  it('fits a shared weight to what enters any of its layers', async () => {
    const calibration = [{ x: rows(0, 8, 1), z: rows(40, 8, 2) }];
    const { layers } = await rewrite(model, target('b.onnx'), {
      keepDenseIfSlower: false,
      structure: 'low-rank',
      rank: 16,
      calibration,
    });
    // 8 features of each input: rank 16 is exact for both together, and for neither alone would the other be right.
    expect(layers[0].result!.weightedError).to.be.below(1e-2);
    expect(layers[0].result!.relativeError).to.be.above(0.1);
    const [before, after] = await Promise.all(
      [model, target('b.onnx')].map(async (path) =>
        (await ort.InferenceSession.create(path)).run(calibration[0]),
      ),
    );
    for (const name of ['y', 'w']) {
      const [expected, found] = [before[name].data, after[name].data] as Float32Array[];
      let worst = 0;
      for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(expected[i] - found[i]));
      expect(worst, name).to.be.below(0.01);
    }
  });

  it('applies a plan that is given, whatever the other options say', async () => {
    const { plan } = await planModel(model, {
      keepDenseIfSlower: false,
      structure: 'monarch',
      rank: 3,
      blocks: 2,
    });
    const { layers } = await rewrite(model, target('c.onnx'), {
      keepDenseIfSlower: false,
      plan,
      structure: 'low-rank',
    });
    expect(layers.map(({ result }) => result?.op)).to.deep.equal(['MonarchMatMul', 'MonarchMatMul']);
  });

  for (const structure of STRUCTURES)
    it(`writes int8 factors of ${structure} that the kernels and the functions compute alike`, async () => {
      const calibration = [{ x: rows(0, 60, 1), z: rows(20, 50, 2) }];
      const { layers } = await rewrite(model, target('q.onnx'), {
        keepDenseIfSlower: false,
        structure,
        calibration,
        factorType: 'int8',
      });
      const { weightedError, quantization } = layers[0].result!;
      expect(layers[0].result!.op).to.match(/^Q/);
      expect(quantization!.weightedError).to.be.within(1e-4, 0.02);
      expect(weightedError).to.be.above(quantization!.weightedError);
      const { passed, comparisons } = await validate(target('q.onnx'), target('q.onnx'), {
        rtol: 0,
        atol: 1e-5,
        runs: 0,
      });
      expect(passed).to.equal(true);
      expect(comparisons.every(({ statistics }) => statistics!.absolute.max > 0)).to.equal(true);
    });

  it('passes over the expected outputs of a calibration data set', async () => {
    const array = { dims: [100, SIZE], data: rows(0, SIZE, 3).data as Float32Array };
    const path = await files.write('set.npz', npz({ x: array, z: array, y: array, w: array }));
    const { layers } = await rewrite(model, target('f.onnx'), {
      keepDenseIfSlower: false,
      structure: 'low-rank',
      calibration: { paths: [path] },
    });
    expect(layers[0].result!.weightedError).not.to.equal(layers[0].result!.relativeError);
  });

  it('refuses a calibration source without inputs', async () => {
    const error = await rewrite(model, target('d.onnx'), { keepDenseIfSlower: false, calibration: [] }).catch(
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(BlockrankError).and.have.property('code', 'INVALID_INPUTS');
    expect(existsSync(target('d.onnx'))).to.equal(false);
  });

  it('stops when it is aborted and leaves nothing behind', async () => {
    const abort = new AbortController();
    const error = await rewrite(model, target('e.onnx'), {
      keepDenseIfSlower: false,
      signal: abort.signal,
      onProgress: ({ step }) => step.startsWith('factorizing') && abort.abort(),
    }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(BlockrankError).and.have.property('code', 'ABORTED');
    expect(existsSync(target('e.onnx'))).to.equal(false);
  });
});
