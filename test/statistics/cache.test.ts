import { expect } from 'chai';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { seededRandom } from '../../src/inputs/random.js';
import { planModel, rewrite, type RewriteOptions } from '../../src/rewrite.js';
import { encodeModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const SIZE = 48;

/** y = tanh(x·a)·b */
function twoLayers(seed: number): Uint8Array {
  const random = seededRandom(seed);
  const weight = (name: string) => ({
    name,
    dims: [SIZE, SIZE],
    data: Array.from({ length: SIZE * SIZE }, () => (random() - 0.5) / 4),
  });
  const io = (name: string) => [{ name, shape: ['batch', SIZE] }];
  return encodeModel({
    inputs: io('x'),
    outputs: io('y'),
    nodes: [
      { op: 'MatMul', inputs: ['x', 'a'], outputs: ['h'] },
      { op: 'Tanh', inputs: ['h'], outputs: ['t'] },
      { op: 'MatMul', inputs: ['t', 'b'], outputs: ['y'] },
    ],
    weights: [weight('a'), weight('b')],
  });
}

function calibration(seed = 3) {
  const random = seededRandom(seed);
  const data = Float32Array.from({ length: 300 * SIZE }, () => random() - 0.5);
  return [{ x: new Tensor('float32', data, [300, SIZE]) }];
}

describe('rewrite with a cache', () => {
  let files: Scratch;
  let model: string;
  let folder: string;
  let round = 0;

  before(async () => {
    files = await scratch();
    model = await files.write('model.onnx', twoLayers(1));
  });
  after(() => files.remove());
  beforeEach(() => {
    folder = join(files.folder, `cache${round++}`);
  });

  /** The steps that ran the model or decomposed its weights. */
  const stepsOf = async (run: (options: RewriteOptions) => Promise<unknown>, more: RewriteOptions = {}) => {
    const steps = new Set<string>();
    await run({
      structure: 'low-rank',
      keep: 0.6,
      keepDenseIfSlower: false,
      minSize: 0,
      calibration: calibration(),
      cache: folder,
      onProgress: ({ step }) => steps.add(step.split(/ of | (?=MatMul)|:/)[0]),
      ...more,
    });
    return ['calibrating', 'gradients', 'spectrum', 'damaged, computed again'].filter((step) =>
      steps.has(step),
    );
  };
  const plan = (more?: RewriteOptions) => stepsOf((options) => planModel(model, options), more);
  const ALL = ['calibrating', 'gradients', 'spectrum'];

  it('calibrates, differentiates and decomposes once for all budgets', async () => {
    expect(await plan()).to.eql(ALL);
    expect(await plan({ keep: 0.3 })).to.eql([]);
    expect(await plan({ factorType: 'float16' })).to.eql([]);
    expect(await plan({ structure: 'monarch', blocks: 2 })).to.eql(['spectrum']);
    expect(await plan({ sensitivity: 'none' })).to.eql(['spectrum']);
    expect(await plan({ cache: false })).to.eql(ALL);
  });

  it('starts anew for other inputs, other batches and another model', async () => {
    await plan();
    expect(await plan({ calibration: calibration(4) })).to.eql(ALL);
    const [{ x }] = calibration();
    const half = (start: number) =>
      new Tensor('float32', x.data.slice(start * SIZE, (start + 150) * SIZE), [150, SIZE]);
    expect(await plan({ calibration: [{ x: half(0) }, { x: half(150) }] })).to.eql(ALL);
    const other = await files.write('other.onnx', twoLayers(2));
    expect(await stepsOf((options) => planModel(other, options))).to.eql(ALL);
    expect(await plan()).to.eql([]);
  });

  for (const sequential of [false, true])
    it(`writes the same bytes with and without it (sequential: ${sequential})`, async () => {
      const write = async (name: string, cache: string | false) => {
        const target = join(files.folder, name);
        await stepsOf((options) => rewrite(model, target, options), { sequential, cache });
        return Uint8Array.from(readFileSync(target));
      };
      const without = await write(`without${sequential}.onnx`, false);
      expect(await write(`first${sequential}.onnx`, folder)).to.eql(without);
      expect(await write(`second${sequential}.onnx`, folder)).to.eql(without);
    });

  it('computes damaged entries again, and says so', async () => {
    await plan();
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name), 'blockrank');
    expect(await plan()).to.eql([...ALL, 'damaged, computed again']);
    expect(await plan()).to.eql([]);
  });

  it('sees changes of external data', async () => {
    const bytes = (seed: number) => {
      const random = seededRandom(seed);
      return Float32Array.from({ length: SIZE * SIZE }, () => random() - 0.5);
    };
    const external = await files.write(
      'external.onnx',
      encodeModel({
        inputs: [{ name: 'x', shape: ['batch', SIZE] }],
        outputs: [{ name: 'y', shape: ['batch', SIZE] }],
        nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
        weights: [{ name: 'w', dims: [SIZE, SIZE], data: 'w.data' }],
      }),
    );
    const run = () => stepsOf((options) => planModel(external, options));
    writeFileSync(join(files.folder, 'w.data'), bytes(1));
    expect(await run()).to.eql(ALL);
    expect(await run()).to.eql([]);
    writeFileSync(join(files.folder, 'w.data'), bytes(2));
    expect(await run()).to.eql(ALL);
  });
});
