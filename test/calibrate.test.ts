import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { onnx as Onnx } from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import { BlockrankError } from '../graph-rewriter/errors.js';
import { formatPlan, parsePlan } from '../graph-rewriter/plan.js';
import { randomNormal } from '../graph-rewriter/factorize/linalg/random.js';
import { formatAssumed } from '../src/cli/layers.js';
import { planModel, rewrite, type RewriteOptions } from '../src/rewrite.js';
import { branch, DataType, encodeModel, floats, op, value } from './calibration/tiny-model.js';
import { encodeModel as encodeParts } from './graph-rewriter/helpers/onnx.js';
import { scratch, type Scratch } from './validation/helpers/tiny-model.js';

const SIZE = 64;
const RANK = 8;
const { FLOAT, BOOL } = DataType;
const random = randomNormal(21);
const weight = (name: string) =>
  floats(name, [SIZE, SIZE], Float32Array.from({ length: SIZE * SIZE }, random));
const product = (x: string, w: string, name: string) => ({ ...op('MatMul', [x, w], [name]), name });

/** Both branches use `shared`, each has a weight of its own; the second one negates. */
function decoder(extra: Partial<Onnx.IGraphProto> = {}): Uint8Array {
  const body = (name: string, first: Onnx.INodeProto, own: string): Onnx.IGraphProto => ({
    name,
    node: [first, product('h', 'shared', `${name}.s`), product(`${name}.s`, own, `${name}.o`)],
    output: [value(`${name}.o`, FLOAT)],
  });
  return encodeModel(
    {
      node: [
        {
          ...branch(
            'flag',
            'y',
            body('first', op('Identity', ['x'], ['h']), 'a'),
            body('then', op('Neg', ['x'], ['h']), 'b'),
          ),
          name: 'if',
        },
        ...(extra.node ?? []),
      ],
      input: [value('x', FLOAT, ['n', SIZE]), value('flag', BOOL, [])],
      output: [value('y', FLOAT), ...(extra.output ?? [])],
      initializer: [weight('shared'), weight('a'), weight('b'), ...(extra.initializer ?? [])],
    },
    17,
  );
}

/** Rows of rank `RANK`, which a weight can be cut to without loss, from a basis by which branch they go to. */
function feeds(yes: boolean, rows = 200) {
  const basis = randomNormal(yes ? 31 : 32);
  const mixed = Array.from({ length: RANK * SIZE }, basis);
  const data = new Float32Array(rows * SIZE);
  for (let row = 0; row < rows; row++)
    for (let k = 0; k < RANK; k++) {
      const part = random();
      for (let i = 0; i < SIZE; i++) data[row * SIZE + i] += part * mixed[k * SIZE + i];
    }
  return { x: new ort.Tensor('float32', data, [rows, SIZE]), flag: new ort.Tensor('bool', [yes], []) };
}

async function relativeError(original: string, rewritten: string, given: ReturnType<typeof feeds>) {
  const [expected, found] = await Promise.all(
    [original, rewritten].map(
      async (path) => (await (await ort.InferenceSession.create(path)).run(given)).y.data as Float32Array,
    ),
  );
  let [error, norm] = [0, 0];
  expected.forEach((entry, i) => {
    error += (entry - found[i]) ** 2;
    norm += entry ** 2;
  });
  return Math.sqrt(error / norm);
}

describe('rewrite, of layers in bodies and functions, with calibration', () => {
  let files: Scratch;
  const target = (name: string) => join(files.folder, name);
  before(async () => (files = await scratch()));
  after(() => files.remove());

  const options = (more: RewriteOptions = {}): RewriteOptions => ({
    structure: 'low-rank',
    rank: 2 * RANK,
    keepDenseIfSlower: false,
    ...more,
  });

  for (const sequential of [false, true])
    it(`fits what both branches use to both, and the rest to its own branch (sequential: ${sequential})`, async () => {
      const model = await files.write('model.onnx', decoder());
      const calibration = [feeds(true), feeds(false), feeds(true)];
      const report = await rewrite(model, target('a.onnx'), options({ calibration, sequential }));
      expect(report.layers.map(({ layer, result }) => [layer.id, result?.samples])).to.deep.equal([
        ['if/0/first.s', 600],
        ['if/0/first.o', 400],
        ['if/1/then.s', 600],
        ['if/1/then.o', 200],
      ]);
      await rewrite(model, target('weights.onnx'), options());
      for (const yes of [true, false]) {
        expect(await relativeError(model, target('a.onnx'), feeds(yes))).to.be.below(1e-2);
        expect(await relativeError(model, target('weights.onnx'), feeds(yes))).to.be.above(0.3);
      }
    });

  for (const sequential of [false, true])
    it(`refuses layers of a branch that no input takes, unless they are left out (sequential: ${sequential})`, async () => {
      const name = `untaken-${sequential}.onnx`;
      const model = await files.write('model.onnx', decoder());
      const untaken = options({ calibration: [feeds(true)], sequential });
      const error: unknown = await rewrite(model, target(name), untaken).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(BlockrankError).and.have.property('code', 'INVALID_INPUTS');
      expect((error as BlockrankError).message).to.match(/no calibration input reached if\/1\/then\.o: /);
      expect(existsSync(target(name))).to.equal(false);
      const { layers } = await rewrite(model, target(name), { ...untaken, exclude: ['b'] });
      expect(layers.filter(({ result }) => result).map(({ layer }) => layer.id)).to.deep.equal([
        'if/0/first.s',
        'if/0/first.o',
        'if/1/then.s',
      ]);
    });

  it('allocates ranks to layers without a gradient by their relative errors, and says which they are', async () => {
    const model = await files.write(
      'mixed.onnx',
      decoder({
        node: [product('x', 'w', 'z')],
        output: [value('z', FLOAT)],
        initializer: [weight('w')],
      }),
    );
    const calibration = [feeds(true), feeds(false)];
    const { plan } = await planModel(model, {
      structure: 'low-rank',
      keep: 0.375,
      calibration,
      keepDenseIfSlower: false,
    });
    const assumed = plan.layers.map((entry) =>
      'spec' in entry ? (entry.predicted?.assumed ?? false) : 'dense',
    );
    expect(assumed).to.deep.equal([false, true, true, true, true]);
    expect(formatAssumed(plan.layers).join()).to.match(
      /^4 layers rewritten without a gradient \(if\/0\/first\.s …/,
    );
    expect(parsePlan(formatPlan(plan))).to.deep.equal(plan);
    // Both branches' inputs together have rank 16, one branch's 8: that and no more fits the budget.
    const ranks = plan.layers.map((entry) => ('spec' in entry ? entry.spec.rank : SIZE));
    expect(ranks).to.deep.equal([16, 16, 8, 16, 8]);
  });

  it('refuses a predicted loss as the budget where no layer has a gradient', async () => {
    const model = await files.write('model.onnx', decoder());
    const error: unknown = await planModel(model, {
      structure: 'low-rank',
      maxError: 0.1,
      calibration: [feeds(true), feeds(false)],
      keepDenseIfSlower: false,
    }).catch((reason: unknown) => reason);
    expect((error as BlockrankError).message).to.match(/keep or maxBytes in place of maxError/);
  });

  it('has gradients of layers in functions of the model', async () => {
    const domain = 'test';
    const linear = {
      name: 'Linear',
      domain,
      input: ['x', 'w'],
      output: ['y'],
      opsetImport: [{ domain: '', version: 17 }],
      node: [product('x', 'w', 'y')],
    };
    const bytes = encodeParts({
      nodes: ['a', 'b'].map((w, i) => ({
        ...op('Linear', [i === 0 ? 'x' : 'h', w], [i === 0 ? 'h' : 'z']),
        domain,
        name: w,
      })),
      functions: [linear],
      domains: [domain],
      inputs: [value('x', FLOAT, ['n', SIZE])],
      outputs: [value('z', FLOAT, ['n', SIZE])],
      initializers: [weight('a'), weight('b')],
    });
    const model = await files.write('function.onnx', bytes);
    const calibration = [{ x: feeds(true).x }];
    const { plan } = await planModel(model, {
      structure: 'low-rank',
      keep: 0.4,
      calibration,
      keepDenseIfSlower: false,
    });
    const predicted = plan.layers.map((entry) => 'spec' in entry && entry.predicted);
    expect(predicted.map((each) => each && 'loss' in each && each.assumed)).to.deep.equal([
      undefined,
      undefined,
    ]);
  });
});
