import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { formatPlan, parsePlan } from '../../graph-rewriter/plan.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import { allocateModel } from '../../src/allocate.js';
import { seededRandom } from '../../src/inputs/random.js';
import { planModel, rewrite, type RewriteOptions } from '../../src/rewrite.js';
import { encodeModel, scratch, type Scratch } from '../validation/helpers/tiny-model.js';

const SIZE = 72;

/** y = tanh(x·loud)·W + 0.01·(x·quiet): errors of `quiet` hardly reach the output. */
function unevenModel(): Uint8Array {
  const random = seededRandom(5);
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
      { op: 'MatMul', inputs: ['x', 'loud'], outputs: ['a'] },
      { op: 'Tanh', inputs: ['a'], outputs: ['t'] },
      { op: 'MatMul', inputs: ['t', 'W'], outputs: ['b'] },
      { op: 'MatMul', inputs: ['x', 'quiet'], outputs: ['c'] },
      { op: 'Mul', inputs: ['c', 'small'], outputs: ['d'] },
      { op: 'Add', inputs: ['b', 'd'], outputs: ['y'] },
    ],
    weights: [weight('loud'), weight('W'), weight('quiet'), { name: 'small', dims: [1], data: [0.01] }],
  });
}

function calibration() {
  const random = seededRandom(9);
  const data = Float32Array.from({ length: 300 * SIZE }, () => random() - 0.5);
  return [{ x: new Tensor('float32', data, [300, SIZE]) }];
}

describe('rewrite with ranks under one budget', () => {
  let files: Scratch;
  let model: string;
  const target = (name: string) => join(files.folder, name);
  const options = (more: RewriteOptions = {}): RewriteOptions => ({
    structure: 'low-rank',
    keep: 0.6,
    keepDenseIfSlower: false,
    calibration: calibration(),
    ...more,
  });

  before(async () => {
    files = await scratch();
    model = await files.write('model.onnx', unevenModel());
  });
  after(() => files.remove());

  const ranks = async (more: RewriteOptions) => {
    const { info, plan } = await planModel(model, options(more));
    return new Map(
      plan.layers.map((entry, i) => [info.layers[i].weight, 'spec' in entry ? entry.spec.rank : Infinity]),
    );
  };

  it('gives the layer that the output hardly depends on the least, and keeps the budget', async () => {
    const global = await ranks({});
    expect(global.get('quiet')).to.be.lessThan(global.get('loud')!);
    expect(global.get('quiet')).to.be.lessThan(global.get('W')!);
    const kept = [...global.values()].map((rank) => Math.min(1, (2 * rank) / SIZE));
    expect(kept.reduce((a, b) => a + b) / 3).to.be.within(0.5, 0.6);
    expect(new Set((await ranks({ allocate: 'uniform' })).values()).size).to.equal(1);
  });

  it('finds the same budget again with a layer dense, and says where too little is left', async () => {
    const info = await inspectModel(model);
    const uniform = planRewrite(info, { structure: 'low-rank', keep: 0.6 });
    const { without } = await allocateModel(info, uniform, () => uniform, options());
    const loud = info.layers.find(({ weight }) => weight === 'loud')!.id;
    const plan = without!(new Set([loud]));
    const bytes = plan.layers.map((entry) =>
      'spec' in entry ? 8 * SIZE * entry.spec.rank : 4 * SIZE * SIZE,
    );
    expect(plan.layers.find(({ id }) => id === loud)).to.have.property('keep');
    expect(bytes.reduce((a, b) => a + b)).to.be.at.most(0.6 * 3 * 4 * SIZE * SIZE);
    expect(() => without!(new Set(info.layers.map(({ id }) => id)))).to.throw(/the least is 1/);
  });

  it('chooses BLAST for auto where its error is less at as many bytes', async () => {
    const { plan } = await planModel(model, options({ structure: 'auto' }));
    const structures = plan.layers.flatMap((entry) => ('spec' in entry ? [entry.spec.structure] : []));
    expect(structures).to.include('blast');
  });

  for (const sequential of [false, true])
    it(`writes the same bytes from its plan, read back, as at once (sequential: ${sequential})`, async () => {
      const report = await rewrite(model, target('a.onnx'), options({ sequential }));
      const { plan } = await planModel(model, options());
      const again = options({ sequential, plan: parsePlan(formatPlan(plan)) });
      await rewrite(model, target('b.onnx'), again);
      expect(Uint8Array.from(readFileSync(target('b.onnx')))).to.eql(
        Uint8Array.from(readFileSync(target('a.onnx'))),
      );
      if (sequential) return;
      const known = report.layers.flatMap(({ plan: entry, result }) =>
        'spec' in entry && result ? [[entry.predicted!.weightedError, result.weightedError]] : [],
      );
      expect(known.length).to.be.greaterThan(0);
      for (const [predicted, measured] of known) expect(measured / predicted).to.be.closeTo(1, 1e-3);
    });

  for (const [what, more, said] of [
    [
      'a global allocation without calibration',
      { calibration: undefined, allocate: 'global' },
      /calibration inputs/,
    ],
    ['a rank beside it', { keep: undefined, rank: 3, allocate: 'global' }, /no rank/],
    ['two budgets', { maxBytes: 90000 }, /one budget; found keep 0.6 and maxBytes 90000/],
    ['a budget that cannot be met', { keep: 0.01 }, /the least is/],
    ['a loss without logits', { loss: 'distribution' }, /needs logits/],
  ] as const)
    it(`refuses ${what}`, async () => {
      const given = { ...options(), ...more } as RewriteOptions;
      const error: unknown = await planModel(model, given).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(BlockrankError);
      expect((error as BlockrankError).message).to.match(said);
    });
});
