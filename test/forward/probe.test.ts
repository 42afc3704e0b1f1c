import { expect } from 'chai';
import { Tensor } from 'onnxruntime-node';
import { probeSensitivities } from '../../graph-rewriter/forward/index.js';
import { collectGradients } from '../../graph-rewriter/gradient/index.js';
import { seededRandom } from '../../src/inputs/random.js';
import { encodeModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const SIZE = 24;

/** logits = tanh(x·a)·b + 0.1·(x·c) */
function model(name = 'y'): Uint8Array {
  const random = seededRandom(8);
  const weight = (name: string) => ({
    name,
    dims: [SIZE, SIZE],
    data: Array.from({ length: SIZE * SIZE }, () => (random() - 0.5) / 2),
  });
  const io = (name: string) => [{ name, shape: ['batch', SIZE] }];
  return encodeModel({
    inputs: io('x'),
    outputs: io(name),
    nodes: [
      { op: 'MatMul', inputs: ['x', 'a'], outputs: ['h'] },
      { op: 'Tanh', inputs: ['h'], outputs: ['t'] },
      { op: 'MatMul', inputs: ['t', 'b'], outputs: ['u'] },
      { op: 'MatMul', inputs: ['x', 'c'], outputs: ['v'] },
      { op: 'Mul', inputs: ['v', 'small'], outputs: ['w'] },
      { op: 'Add', inputs: ['u', 'w'], outputs: [name] },
    ],
    weights: [weight('a'), weight('b'), weight('c'), { name: 'small', dims: [1], data: [0.1] }],
  });
}

const LAYERS = ['MatMul_h', 'MatMul_u', 'MatMul_v'];
const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('probeSensitivities', () => {
  let files: Scratch;
  before(async () => {
    files = await scratch();
  });
  after(() => files.remove());

  const inputs = () => {
    const random = seededRandom(2);
    const data = () => Float32Array.from({ length: 200 * SIZE }, () => random() - 0.5);
    return [1, 2, 3, 4].map(() => ({ x: new Tensor('float32', data(), [200, SIZE]) }));
  };
  const request = async (output: string) => ({
    modelPath: await files.write(`${output}.onnx`, model(output)),
    layers: LAYERS,
    inputs: inputs(),
  });

  for (const [output, loss] of [
    ['y', 'squared'],
    ['logits', 'distribution'],
  ] as const)
    it(`comes near the mean of what gradients give, in the ${loss} loss`, async () => {
      const given = await request(output);
      const forward = await probeSensitivities(given);
      const gradient = await collectGradients(given);
      expect(forward.loss).to.equal(loss);
      for (const id of LAYERS) {
        const ratio = mean(forward.energies.get(id)!) / mean(gradient.energies.get(id)!);
        expect(ratio, id).to.be.within(0.85, 1.15);
      }
      // A comparison that would let a layer pass for another one shows nothing.
      const [h, , v] = LAYERS.map((id) => mean(gradient.energies.get(id)!));
      expect(Math.abs(Math.log(h / v))).to.be.greaterThan(0.3);
    });

  it('gives the same numbers for a seed, and others for another', async () => {
    const given = await request('y');
    const first = await probeSensitivities(given);
    expect(await probeSensitivities(given)).to.eql(first);
    expect(await probeSensitivities({ ...given, seed: 2 })).not.to.eql(first);
  });

  it('refuses what only gradients can give', async () => {
    const error: unknown = await probeSensitivities({
      ...(await request('logits')),
      loss: 'next-token',
    }).catch((reason: unknown) => reason);
    expect(String(error)).to.match(/needs gradients/);
  });
});
