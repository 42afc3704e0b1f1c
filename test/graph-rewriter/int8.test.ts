// Rewriting with int8 factors: what is written, what it computes without the plugin, and the way back.
import { expect } from 'chai';
import { dirname, join } from 'node:path';
import { applyPlan } from '../../graph-rewriter/apply.js';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { quantize } from '../../graph-rewriter/factorize/index.js';
import { type Structure, STRUCTURES } from '../../graph-rewriter/factorize/types.js';
import type { Compute, RewritePlan } from '../../graph-rewriter/types.js';
import { expectError } from './helpers/errors.js';
import { B, IN, layerModel, OUT, weightTensor } from './helpers/layer-model.js';
import { node, readModel, tensor } from './helpers/onnx.js';
import { random, relativeDifference } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import { anyFactors, knownFactors, knownWeight, planFor, rewriteKnown, save } from './helpers/workspace.js';

const weightOf = (structure: Structure) =>
  knownWeight(
    structure === 'low-rank'
      ? { structure, rank: 4, blocksIn: 1, blocksOut: 1, in: IN, out: OUT }
      : { structure, rank: structure === 'monarch' ? 2 : 4, blocksIn: 3, blocksOut: 4, in: IN, out: OUT },
    42,
  );

/** Two products of one weight, with and without a bias and a ReLU. */
function source(structure: Structure, more: { alpha?: number; opset?: number } = {}) {
  const weight = weightOf(structure);
  const { alpha = 1, ...parts } = more;
  const model = layerModel({
    leading: [5],
    nodes: [
      node('Gemm', ['x', 'w', 'b'], ['m'], {}, { name: 'fc', floats: { alpha } }),
      node('Relu', ['m'], ['r']),
      node('MatMul', ['x', 'w'], ['c'], {}, { name: 'bare' }),
      node('Sub', ['r', 'c'], ['y']),
    ],
    initializers: [weightTensor('inOut', 'w', 'float32', weight), tensor('b', [OUT], B)],
    ...parts,
  });
  return { path: save(model), weights: { w: weight } };
}

const feeds = { x: { dims: [5, IN], data: random(5 * IN, 1) } };

/** The plan with another way to compute. */
function computing(plan: RewritePlan, compute: Compute, ids = ['fc', 'bare']): RewritePlan {
  return {
    ...plan,
    layers: plan.layers.map((layer) =>
      'spec' in layer && ids.includes(layer.id) ? { ...layer, compute } : layer,
    ),
  };
}

describe('int8 factors', () => {
  for (const structure of STRUCTURES)
    it(`are written for ${structure}, run without the plugin, and can be made dense`, async () => {
      const { path, weights } = source(structure);
      const { target, report } = await rewriteKnown(path, weights, { factorType: 'int8' });
      const { graph } = readModel(target);
      const names = { 'low-rank': 'QLowRankMatMul', blast: 'QBlastMatMul', monarch: 'QMonarchMatMul' };
      expect(graph!.node!.map(({ opType }) => opType)).to.deep.equal([
        `${names[structure]}Relu`,
        names[structure],
        'Sub',
      ]);
      const coupling = structure === 'blast' ? ['w.S'] : [];
      expect(graph!.node![1].input).to.deep.equal([
        'x',
        ...['w.V', 'w.VScale', ...coupling, 'w.U', 'w.UScale'],
      ]);
      const initializers = graph!.initializer!.filter(({ name }) => name !== 'b');
      const expected = quantize(weights.w.factors);
      expect(initializers.find(({ name }) => name === 'w.V')!.rawData).to.deep.equal(
        Buffer.from(expected.V.buffer),
      );
      const bytes = initializers.reduce((sum, { rawData }) => sum + rawData!.length, 0);
      expect(report.layers[0].result!.bytesAfter).to.equal(bytes);

      const [before, after] = [await runModel(path, feeds), await runModel(target, feeds)];
      const difference = relativeDifference(after.y.data, before.y.data);
      expect(difference).to.be.below(0.02).and.greaterThan(0);
      const back = join(dirname(path), 'back.onnx');
      await densifyModel(target, back);
      expect(relativeDifference((await runModel(back, feeds)).y.data, after.y.data)).to.be.below(2e-6);
    });

  it('are multiplied by Gemm’s alpha in their scales', async () => {
    for (const alpha of [0.3, -2]) {
      const { path, weights } = source('blast', { alpha });
      const { target } = await rewriteKnown(path, weights, { factorType: 'int8' });
      const [before, after] = [await runModel(path, feeds), await runModel(target, feeds)];
      expect(relativeDifference(after.y.data, before.y.data)).to.be.below(0.02);
    }
  });

  it('run at old opsets', async () => {
    for (const opset of [9, 11, 13]) {
      const { path, weights } = source('blast', { opset });
      const { target } = await rewriteKnown(path, weights, { factorType: 'int8' });
      const [before, after] = [await runModel(path, feeds), await runModel(target, feeds)];
      expect(relativeDifference(after.y.data, before.y.data)).to.be.below(0.02);
    }
  });

  it('are taken as the factorization gives them, and refused where their sizes are wrong', async () => {
    const { path, weights } = source('blast');
    const plan = await planFor(path, weights, 'int8');
    const integers = quantize(weights.w.factors);
    const apply = (factors: typeof integers, name: string) =>
      applyPlan(path, join(dirname(path), name), plan, {
        factorize: async (...args) => ({
          ...(await knownFactors(weights).factorize(...args)),
          quantization: { factors, relativeError: 0.5, weightedError: 0.75 },
        }),
      });
    const uScale = integers.uScale.map((scale) => 2 * scale);
    const { layers } = await apply({ ...integers, uScale }, 'twice.onnx');
    expect(layers[0].result!.quantization).to.deep.equal({ relativeError: 0.5, weightedError: 0.75 });
    const stored = readModel(join(dirname(path), 'twice.onnx')).graph!.initializer!;
    expect(stored.map(({ name }) => name)).to.include('w.UScale');
    await expectError(
      () => apply({ ...integers, uScale: uScale.slice(1) }, 'wrong.onnx'),
      'FACTORIZATION',
      /The factorization of fc has 35 numbers in UScale; expected 36/,
    );
  });
});

describe('compute', () => {
  const attributes = (path: string) =>
    readModel(path)
      .graph!.node!.filter(({ domain }) => domain === 'ai.blockrank')
      .map(({ attribute }) => attribute!.map(({ name, s }) => `${name}=${new TextDecoder().decode(s)}`));

  it('is an attribute of the nodes, which functions without the plugin take and pass over', async () => {
    for (const [type, compute] of [
      ['int8', 'int8'],
      ['float16', 'bfloat16'],
    ] as const) {
      const { path, weights } = source('blast');
      const plan = computing(await planFor(path, weights, type), compute);
      const target = join(dirname(path), 'out.onnx');
      const { layers } = await applyPlan(path, target, plan, { factorize: knownFactors(weights).factorize });
      expect(layers[0].plan).to.include({ compute });
      expect(attributes(target)).to.deep.equal([[`compute=${compute}`], [`compute=${compute}`]]);
      expect(readModel(target).metadataProps.at(-1)!.value).to.contain(`"compute":"${compute}"`);
      const [before, after] = [await runModel(path, feeds), await runModel(target, feeds)];
      expect(relativeDifference(after.y.data, before.y.data)).to.be.below(0.02);
    }
  });

  it('is not written where nothing asks for it, and by all nodes of a function where one does', async () => {
    const parts = source('low-rank');
    const { target } = await rewriteKnown(parts.path, parts.weights, { factorType: 'int8' });
    expect(attributes(target)).to.deep.equal([[], []]);

    const weight = weightOf('low-rank');
    const path = save(
      layerModel({
        nodes: ['a', 'b']
          .map((name) => node('MatMul', ['x', 'w'], [name], {}, { name }))
          .concat(node('Add', ['a', 'b'], ['y'])),
        initializers: [weightTensor('inOut', 'w', 'float32', weight)],
      }),
    );
    const plan = computing(await planFor(path, { w: weight }, 'int8'), 'int8', ['b']);
    const out = join(dirname(path), 'out.onnx');
    await applyPlan(path, out, plan, { factorize: knownFactors({ w: weight }).factorize });
    expect(attributes(out)).to.deep.equal([['compute=float'], ['compute=int8']]);
    const x = { x: { dims: [2, 5, IN], data: random(10 * IN, 1) } };
    const [before, after] = [await runModel(path, x), await runModel(out, x)];
    expect(relativeDifference(after.y.data, before.y.data)).to.be.below(0.02);
  });

  it('is refused where the factors do not allow it', async () => {
    const { path, weights } = source('blast');
    const plan = computing(await planFor(path, weights, 'float16'), 'int8');
    await expectError(
      () => applyPlan(path, join(dirname(path), 'o.onnx'), plan, { factorize: anyFactors }),
      'INVALID_PLAN',
      /fc: Factors of float16 can be computed in float or bfloat16; found int8/,
    );
  });
});
