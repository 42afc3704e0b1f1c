import { expect } from 'chai';
import { allocate, layerOptions, type WeightOptions } from '../../graph-rewriter/allocate/index.js';
import type { BlockrankError } from '../../graph-rewriter/errors.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import { factorBytes } from '../../graph-rewriter/structure-size.js';
import type { LayerInfo, ModelInfo, RewritePlan } from '../../graph-rewriter/types.js';

const SIZE = 128;
const BYTES = 4 * SIZE * SIZE;
const OTHER = 1000;

function layer(id: string, weightKey = id): LayerInfo {
  return {
    id,
    node: id,
    op: 'MatMul',
    weight: weightKey,
    shape: { in: SIZE, out: SIZE },
    dtype: 'float32',
    location: 'initializer',
    bytes: BYTES,
    weightKey,
    input: 'x',
    bias: false,
    activation: 'none',
    fused: [],
  };
}

const layers = [layer('steep'), layer('flat'), layer('flat too', 'flat'), layer('unknown')];
const info: ModelInfo = {
  path: 'model.onnx',
  sha256: '0'.repeat(64),
  irVersion: 8,
  opset: 17,
  producer: '',
  bytes: 3 * BYTES + OTHER,
  layers,
};
const plan = planRewrite(info, { structure: 'low-rank', keep: 0.5 });

/** Eigenvalues fall as ratio^k. */
function weight(of: LayerInfo, ratio: number, slower = false): WeightOptions {
  const values = Array.from({ length: SIZE }, (_, k) => ratio ** k);
  const tails = Float64Array.from({ length: SIZE + 1 }, (_, r) => values.slice(r).reduce((a, b) => a + b, 0));
  const curves = [{ blocks: { structure: 'low-rank', blocksIn: 1, blocksOut: 1 } as const, tails }];
  const time = slower ? (_: LayerInfo, spec?: unknown) => (spec ? 2 : 1) : undefined;
  return {
    layer: of,
    options: layerOptions(of, curves, 'float32', { perError: 0.5, ...(time && { time }) }),
    energy: tails[0],
    isMeasured: true,
  };
}

const weights = [weight(layers[0], 0.8), weight(layers[1], 0.99)];

function bytes(made: RewritePlan, ...ids: string[]): number {
  return ids.reduce((sum, id) => {
    const entry = made.layers.find((each) => each.id === id)!;
    return sum + ('spec' in entry ? factorBytes({ in: SIZE, out: SIZE }, entry.spec, 'float32') : BYTES);
  }, 0);
}

function failure(work: () => unknown): BlockrankError {
  try {
    work();
  } catch (error) {
    return error as BlockrankError;
  }
  return expect.fail('it did not fail');
}

describe('allocate', () => {
  for (const keep of [0.3, 0.5, 0.8])
    it(`keeps ${keep} of the bytes, and gives more of them where the spectrum is flat`, () => {
      const made = allocate(info, plan, weights, { keep });
      const used = bytes(made, 'steep', 'flat', 'unknown');
      expect(used).to.be.at.most(keep * 3 * BYTES);
      expect(used).to.be.at.least((keep - 0.1) * 3 * BYTES);
      expect(bytes(made, 'flat')).to.be.greaterThan(bytes(made, 'steep'));
    });

  it('decides once for layers that share a weight, and leaves what it knows nothing of to the plan', () => {
    const made = allocate(info, plan, weights, { keep: 0.5 });
    const [, flat, too, unknown] = made.layers;
    expect({ ...too, id: '' }).to.eql({ ...flat, id: '' });
    expect(unknown).to.eql(plan.layers[3]);
  });

  it('leaves a layer dense where its bytes are worth most, with that reason', () => {
    const made = allocate(info, plan, weights, { keep: 0.6 });
    expect(made.layers[1]).to.have.nested.property('keep.code', 'worth-its-bytes');
  });

  it('says what it expects: the loss, and the error relative to the whole', () => {
    const [entry] = allocate(info, plan, weights, { keep: 0.3 }).layers;
    if (!('spec' in entry)) return expect.fail('it stayed dense');
    const left = 0.8 ** entry.spec.rank;
    expect(entry.spec.rank).to.be.at.least(1);
    expect(entry.predicted!.weightedError).to.be.closeTo(Math.sqrt(left), 1e-6);
    expect(entry.predicted!.loss).to.be.closeTo((0.5 * left) / 0.2, 1e-6);
  });

  it('holds a model to its bytes, all others counted', () => {
    const maxBytes = OTHER + 1.6 * BYTES;
    const made = allocate(info, plan, weights, { maxBytes });
    const used = OTHER + bytes(made, 'steep', 'flat', 'unknown');
    expect(used).to.be.within(maxBytes - 0.1 * BYTES, maxBytes);
  });

  it('holds a predicted loss with few bytes', () => {
    const made = allocate(info, plan, weights, { maxError: 3 });
    const loss = (of: RewritePlan) =>
      of.layers.slice(0, 2).reduce((sum, entry) => sum + ('spec' in entry ? entry.predicted!.loss : 0), 0);
    expect(loss(made)).to.be.within(1, 3);
    expect(bytes(made, 'steep', 'flat')).to.be.lessThan(2 * BYTES);
  });

  it('does not choose what is slower than the dense layer', () => {
    const slow = [weight(layers[0], 0.8, true), weights[1]];
    const made = allocate(info, plan, slow, { keep: 0.9 });
    expect(made.layers[0]).to.have.nested.property('keep.code', 'worth-its-bytes');
  });

  it('refuses a budget that cannot be met, with the least that can', () => {
    const share = failure(() => allocate(info, plan, weights, { keep: 0.1 }));
    expect(share.code).to.equal('INVALID_ARGUMENT');
    const least = Number(/the least is (\d\.\d+)/.exec(share.message)![1]);
    expect(() => allocate(info, plan, weights, { keep: least })).not.to.throw();
    const size = failure(() => allocate(info, plan, weights, { maxBytes: 2000 }));
    const most = Number(/the least is (\d+)/.exec(size.message)![1]);
    expect(() => allocate(info, plan, weights, { maxBytes: most })).not.to.throw();
  });
});
