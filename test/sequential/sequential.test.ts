import { expect } from 'chai';
import { mkdtempSync, readdirSync, rmSync, existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { Model } from '../../graph-rewriter/model.js';
import { findLayers } from '../../graph-rewriter/layers.js';
import { findGroups, type Walk } from '../../graph-rewriter/sequential/groups.js';
import type { LayerPlan, RewritePlan } from '../../graph-rewriter/types.js';
import { planModel, rewrite, type RewriteOptions } from '../../src/rewrite.js';
import { createSession } from '../../src/session.js';
import { distance, feeds, HIDDEN, residualMlp, run, save, weight, WIDTH } from './networks.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import type { TinyModel } from '../validation/helpers/tiny-model.js';

const PLAIN = { isShared: false, isOneShot: false, operand: 1 };
const BASE = { allocate: 'uniform', structure: 'low-rank', minSize: 1, keepDenseIfSlower: false } as const;

describe('sequential rewriting', () => {
  let folder: string;
  let count = 0;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'blockrank-sequential-'))));
  after(() => rmSync(folder, { recursive: true }));
  const place = () => join(folder, `out${count++}.onnx`);

  async function errorOf(path: string, options: RewriteOptions, seed = 99): Promise<number> {
    const target = place();
    await rewrite(path, target, { ...BASE, ...options });
    const unseen = feeds(2, 50, seed);
    // Features are mixed by the seed: the same mixing, other rows.
    return distance(await run(path, unseen), await run(target, unseen));
  }

  async function failure(work: Promise<unknown>): Promise<BlockrankError> {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(BlockrankError);
    return error as BlockrankError;
  }

  for (const structure of ['low-rank', 'blast', 'monarch'] as const)
    it(`ends nearer to the original's output than one-shot fits: ${structure}`, async () => {
      const path = save(folder, 'deep.onnx', residualMlp(4, 7));
      const options = { structure, keep: 0.6, calibration: feeds(6, 100, 1), iterations: 10, blocks: 2 };
      const { blocks, ...plain } = options;
      const given = structure === 'low-rank' ? plain : { ...plain, blocks };
      const sequential = await errorOf(path, given, 1);
      const oneShot = await errorOf(path, { ...given, sequential: false }, 1);
      expect(sequential).to.be.below(0.8 * oneShot);
      expect(sequential).to.be.above(0.001);
    });

  it('takes up the mean of the error in the bias, and leaves layers without one alone', async () => {
    const path = save(folder, 'bias.onnx', residualMlp(2, 8));
    const options = { keep: 0.4, calibration: feeds(6, 100, 1) };
    const never = await errorOf(path, { ...options, sequential: { bias: 'never' } }, 1);
    expect(await errorOf(path, options, 1)).to.be.below(never);
  });

  it('changes nothing at full rank', async () => {
    // [16, 24] of rank 9: exact with fewer numbers than dense.
    const random = randomNormal(4);
    const narrow = (name: string, rows: number, columns: number) => {
      const left = weight('', rows, 9, random).data;
      const right = weight('', 9, columns, random).data;
      const data = Float32Array.from({ length: rows * columns }, (_, at) => {
        let sum = 0;
        for (let k = 0; k < 9; k++)
          sum += left[Math.floor(at / columns) * 9 + k] * right[k * columns + (at % columns)];
        return sum;
      });
      return { name, dims: [rows, columns], data };
    };
    const model = residualMlp(2, 9);
    const weights = model.weights!.map((tensor) =>
      tensor.dims.length === 2 ? narrow(tensor.name, tensor.dims[0], tensor.dims[1]) : tensor,
    );
    const path = save(folder, 'exact.onnx', { ...model, weights });
    // float32 factors of four layers in a row.
    expect(await errorOf(path, { rank: 9, calibration: feeds(3, 80, 1) }, 1)).to.be.below(2e-5);
  });

  it('replaces matrices that stay dense by their targets, unless told not to', async () => {
    const path = save(folder, 'kept.onnx', residualMlp(3, 10));
    const options = { keep: 0.5, include: ['*'], calibration: feeds(6, 100, 1) };
    const { plan } = await planModel(path, { ...BASE, ...options });
    const layers = plan.layers.map((layer): LayerPlan =>
      layer.id.startsWith('down') && layer.id !== 'down0'
        ? { id: layer.id, keep: { code: 'kept-by-plan', message: 'a test' } }
        : layer,
    );
    const edited: RewritePlan = { ...plan, layers };
    const target = place();
    const report = await rewrite(path, target, { ...options, plan: edited });
    expect(report.layers.filter(({ refitted }) => refitted).map(({ layer }) => layer.id)).to.eql([
      'down1',
      'down2',
    ]);
    const model = Model.open(target);
    expect([...model.graph.initializers.keys()].filter((name) => name.startsWith('D1'))).to.eql(['D1.refit']);
    model.close();
    const refitted = await errorOf(path, { ...options, plan: edited }, 1);
    const left = await errorOf(path, { ...options, plan: edited, sequential: { refit: false } }, 1);
    expect(refitted).to.be.below(left);
  });

  it('leaves layers alone that were excluded', async () => {
    const path = save(folder, 'excluded.onnx', residualMlp(2, 11));
    const target = place();
    const report = await rewrite(path, target, {
      ...BASE,
      keep: 0.5,
      exclude: ['*1'],
      calibration: feeds(2, 60, 1),
    });
    expect(report.layers.some(({ refitted }) => refitted)).to.equal(false);
  });

  it('writes the same bytes each time, whatever stays in memory', async () => {
    const path = save(folder, 'same.onnx', residualMlp(2, 12));
    const options = { ...BASE, keep: 0.5, calibration: feeds(3, 40, 1) };
    const targets = [place(), place(), place()];
    await rewrite(path, targets[0], options);
    await rewrite(path, targets[1], options);
    await rewrite(path, targets[2], { ...options, sequential: { stateLimit: 0 } });
    const [a, b, c] = targets.map((target) => readFileSync(target));
    expect(a.compare(new Uint8Array(b))).to.equal(0);
    expect(a.compare(new Uint8Array(c))).to.equal(0);
  });

  it('runs with the plugin as without', async () => {
    const path = save(folder, 'plugin.onnx', residualMlp(2, 13));
    const target = place();
    const inputs = feeds(1, 30, 1);
    await rewrite(path, target, { ...BASE, structure: 'blast', blocks: 2, keep: 0.6, calibration: inputs });
    const { session } = await createSession(target, { device: 'cpu' });
    const found = Float64Array.from((await session.run(inputs[0])).y.data as Float32Array);
    expect(distance(await run(target, inputs), found)).to.be.below(1e-5);
    await session.release();
  });

  it('makes up for a 1×1 Conv that it does not walk', async () => {
    const random = randomNormal(16);
    const kernel = { ...weight('K', WIDTH, WIDTH, random), dims: [WIDTH, WIDTH, 1, 1] };
    const model: TinyModel = {
      inputs: [{ name: 'x', shape: ['batch', 'time', WIDTH] }],
      outputs: [{ name: 'y', shape: ['batch', 'time', WIDTH] }],
      nodes: [
        {
          op: 'Constant',
          inputs: [],
          outputs: ['last'],
          attributes: [{ name: 'value_ints', type: 7, ints: [3] }],
        },
        {
          op: 'Transpose',
          inputs: ['x'],
          outputs: ['t'],
          attributes: [{ name: 'perm', type: 7, ints: [0, 2, 1] }],
        },
        { op: 'Unsqueeze', inputs: ['t', 'last'], outputs: ['image'] },
        { op: 'Conv', name: 'conv', inputs: ['image', 'K'], outputs: ['c'] },
        { op: 'Squeeze', inputs: ['c', 'last'], outputs: ['s'] },
        {
          op: 'Transpose',
          inputs: ['s'],
          outputs: ['h'],
          attributes: [{ name: 'perm', type: 7, ints: [0, 2, 1] }],
        },
        { op: 'MatMul', name: 'up', inputs: ['h', 'U'], outputs: ['u'] },
        { op: 'Relu', inputs: ['u'], outputs: ['r'] },
        { op: 'MatMul', name: 'down', inputs: ['r', 'D'], outputs: ['y'] },
      ],
      weights: [kernel, weight('U', WIDTH, HIDDEN, random), weight('D', HIDDEN, WIDTH, random)],
    };
    const path = save(folder, 'conv.onnx', model);
    const options = { keep: 0.5, calibration: feeds(6, 100, 1) };
    expect(await errorOf(path, options, 1)).to.be.below(
      await errorOf(path, { ...options, sequential: false }, 1),
    );
  });

  describe('with a mask', () => {
    /** y = x + (x·W), rows where `attention_mask` is 0 left out. */
    const masked = (): TinyModel => ({
      inputs: [
        { name: 'x', shape: ['batch', 'time', WIDTH] },
        { name: 'attention_mask', type: 7, shape: ['batch', 'time'] },
      ],
      outputs: [
        { name: 'y', shape: ['batch', 'time', WIDTH] },
        { name: 'm', type: 7, shape: ['batch', 'time'] },
      ],
      nodes: [
        { op: 'MatMul', name: 'up', inputs: ['x', 'U'], outputs: ['u'] },
        { op: 'Relu', inputs: ['u'], outputs: ['h'] },
        { op: 'MatMul', name: 'down', inputs: ['h', 'D'], outputs: ['y'] },
        { op: 'Identity', inputs: ['attention_mask'], outputs: ['m'] },
      ],
      weights: [weight('U', WIDTH, HIDDEN, randomNormal(1)), weight('D', HIDDEN, WIDTH, randomNormal(2))],
    });
    const mask = (rows: number, used: number) =>
      new ort.Tensor(
        'int64',
        BigInt64Array.from({ length: rows }, (_, i) => (i < used ? 1n : 0n)),
        [1, rows],
      );

    it('gives the same factors as without the rows that it leaves out, whatever they hold', async () => {
      const path = save(folder, 'masked.onnx', masked());
      const [{ x }] = feeds(1, 40, 1);
      const data = Float32Array.from(x.data as Float32Array).fill(NaN, 25 * WIDTH);
      const padded = { x: new ort.Tensor('float32', data, [1, 40, WIDTH]), attention_mask: mask(40, 25) };
      const cut = {
        x: new ort.Tensor('float32', data.slice(0, 25 * WIDTH), [1, 25, WIDTH]),
        attention_mask: mask(25, 25),
      };
      const options = { ...BASE, keep: 0.5 };
      const targets = [place(), place()];
      await rewrite(path, targets[0], { ...options, calibration: [padded] });
      const report = await rewrite(path, targets[1], { ...options, calibration: [cut] });
      expect(report.layers.map(({ result }) => result?.samples)).to.eql([25, 25]);
      expect(distance(await run(targets[0], [cut]), await run(targets[1], [cut]))).to.be.below(1e-5);
    });

    it('refuses one that the model has not', async () => {
      const path = save(folder, 'masked.onnx', masked());
      const error = await failure(rewrite(path, place(), { ...BASE, mask: 'nothing', calibration: [] }));
      expect(error.message).to.match(/no input 'nothing'.*x, attention_mask/);
    });
  });

  describe('refuses, and writes nothing,', () => {
    it('inputs with NaN, naming the tensor, the layer and the batch', async () => {
      const path = save(folder, 'nan.onnx', residualMlp(1, 14));
      const inputs = feeds(2, 10, 1);
      (inputs[1].x.data as Float32Array)[3] = NaN;
      const target = place();
      const error = await failure(rewrite(path, target, { ...BASE, keep: 0.5, calibration: inputs }));
      expect(error.code).to.equal('INVALID_INPUTS');
      expect(error.message).to.match(
        /tensor 'x' .*up0.* NaN or infinity in feature \d+ \(calibration batch 1\)/,
      );
      expect(existsSync(target)).to.equal(false);
    });

    it('a layer that no input reaches', async () => {
      const path = save(folder, 'empty.onnx', residualMlp(1, 14));
      const none = [{ x: new ort.Tensor('float32', new Float32Array(0), [1, 0, WIDTH]) }];
      const error = await failure(rewrite(path, place(), { ...BASE, keep: 0.5, calibration: none }));
      expect(error.message).to.match(/no calibration input reached up0/);
    });

    it('a source without inputs', async () => {
      const path = save(folder, 'none.onnx', residualMlp(1, 14));
      const error = await failure(rewrite(path, place(), { ...BASE, keep: 0.5, calibration: [] }));
      expect(error.message).to.match(/holds no inputs/);
    });
  });

  it('stops when it is aborted and leaves nothing behind', async () => {
    const path = save(folder, 'abort.onnx', residualMlp(3, 15));
    const before = readdirSync(folder).length;
    const abort = new AbortController();
    const steps: string[] = [];
    const error = await failure(
      rewrite(path, place(), {
        ...BASE,
        keep: 0.5,
        calibration: feeds(2, 20, 1),
        signal: abort.signal,
        onProgress: ({ step }) => {
          steps.push(step);
          if (step === 'factorizing down0') abort.abort();
        },
      }),
    );
    expect(error.code).to.equal('ABORTED');
    expect(steps.at(-1)).to.match(/down0|up1/);
    expect(readdirSync(folder).length).to.equal(before);
  });
});

describe('findGroups', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'blockrank-groups-'))));
  after(() => rmSync(folder, { recursive: true }));

  function walk(model: TinyModel): Walk {
    const opened = Model.open(save(folder, 'groups.onnx', model));
    const members = findLayers(opened).flatMap(({ info, match }) =>
      match ? [{ info, match, plan: { id: info.id, keep: info.reason! }, ...PLAIN }] : [],
    );
    const result = findGroups(opened.graph, members);
    opened.close();
    return result;
  }

  const summary = ({ groups }: Walk) =>
    groups.map(({ input, members }) => [
      input,
      ...members.map(({ info, residuals }) => `${info.id} + ${residuals.map(({ name }) => name).join()}`),
    ]);

  it('finds the residual stream behind biases, and no gap where the output is added to none', () => {
    expect(summary(walk(residualMlp(2, 1)))).to.eql([
      ['x', 'up0 + '],
      ['h0', 'down0 + x'],
      ['x1', 'up1 + '],
      ['h1', 'down1 + x1'],
    ]);
  });

  it('groups layers of one input, and looks past a parallel branch that is not solved yet', () => {
    const random = randomNormal(1);
    const square = (name: string) => weight(name, WIDTH, WIDTH, random);
    const model: TinyModel = {
      inputs: [{ name: 'x', shape: ['n', WIDTH] }],
      outputs: [{ name: 'y', shape: ['n', WIDTH] }],
      nodes: [
        { op: 'MatMul', name: 'first', inputs: ['x', 'A'], outputs: ['s'] },
        { op: 'MatMul', name: 'q', inputs: ['s', 'Q'], outputs: ['q0'] },
        { op: 'MatMul', name: 'k', inputs: ['s', 'K'], outputs: ['k0'] },
        { op: 'Mul', inputs: ['q0', 'k0'], outputs: ['a'] },
        { op: 'MatMul', name: 'o', inputs: ['a', 'O'], outputs: ['o0'] },
        { op: 'Relu', inputs: ['k0'], outputs: ['r'] },
        { op: 'MatMul', name: 'p', inputs: ['r', 'P'], outputs: ['p0'] },
        { op: 'Add', inputs: ['o0', 'p0'], outputs: ['sum'] },
        { op: 'Add', inputs: ['sum', 's'], outputs: ['y'] },
      ],
      weights: ['A', 'Q', 'K', 'O', 'P'].map(square),
    };
    expect(summary(walk(model))).to.eql([
      ['x', 'first + '],
      ['s', 'q + ', 'k + '],
      ['a', 'o + s'],
      ['r', 'p + o0,s'],
    ]);
  });

  it('follows constant scales, and stops at anything else', () => {
    const model = residualMlp(1, 2);
    const scaled = (op: string, factor: string) => ({
      ...model,
      nodes: model.nodes
        .map((node) => (node.outputs[0] === 'y' ? { ...node, inputs: ['x', 'scaled'] } : node))
        .concat({ op, inputs: ['dc0', factor], outputs: ['scaled'] }),
      weights: [...model.weights!, { name: 'gamma', dims: [WIDTH], data: new Float32Array(WIDTH).fill(4) }],
    });
    const reordered = (m: TinyModel) => ({ ...m, nodes: [...m.nodes.slice(0, 5), m.nodes[6], m.nodes[5]] });
    const terms = (op: string, factor: string) =>
      walk(reordered(scaled(op, factor))).groups[1].members[0].residuals.map(({ name, scale }) => [
        name,
        scale[0],
      ]);
    expect(terms('Mul', 'gamma')).to.eql([['x', 4]]);
    expect(terms('Div', 'gamma')).to.eql([['x', 0.25]]);
    expect(terms('Mul', 'x')).to.eql([]);
  });
});
