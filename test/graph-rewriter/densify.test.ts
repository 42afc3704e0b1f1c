import { expect } from 'chai';
import { dirname, join } from 'node:path';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { denseTransposed } from '../../graph-rewriter/dense-weight.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { defaultEngine } from '../../graph-rewriter/factorize/engine.js';
import { STRUCTURES } from '../../graph-rewriter/factorize/types.js';
import { expectError } from './helpers/errors.js';
import { B, IN, layerModel, OUT, W, weightTensor } from './helpers/layer-model.js';
import { node, readModel, tensor, valueInfo } from './helpers/onnx.js';
import { PP_OCR } from './helpers/real-model.js';
import { denseWeight, random, randomFactors, relativeDifference } from './helpers/reference.js';
import { interfaceOf, runModel } from './helpers/run.js';
import { knownWeight, rewriteAny, rewriteKnown, save, workspace } from './helpers/workspace.js';

const nodes = [
  node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc' }),
  node('Add', ['m', 'b'], ['v']),
  node('Sigmoid', ['v'], ['s']),
  node('Mul', ['v', 's'], ['a']),
  node('MatMul', ['x', 'w'], ['c'], {}, { name: 'bare' }),
  node('Sigmoid', ['c'], ['s2']),
  node('Mul', ['c', 's2'], ['e']),
  node('Sub', ['a', 'e'], ['y']),
];
const initializers = [weightTensor('inOut'), tensor('b', [OUT], B)];

describe('densifyModel', () => {
  it('gives back a model of standard operators with the same results', async () => {
    const source = save(layerModel({ nodes, initializers }));
    const { target } = await rewriteKnown(source, { w: W });
    const back = join(dirname(source), 'back.onnx');
    const seen: string[] = [];
    const report = await densifyModel(target, back, {
      onProgress: (done, total, name) => seen.push(`${done}/${total} ${name}`),
    });
    expect(report.nodes).to.deep.equal(['fc', 'bare']);
    expect(seen).to.deep.equal(['1/2 fc', '2/2 bare']);
    const model = readModel(back);
    expect(model.functions).to.have.length(0);
    expect(model.opsetImport.map((o) => o.domain)).to.deep.equal(['']);
    expect(model.metadataProps).to.have.length(0);
    expect(model.graph!.node!.map((n) => n.opType)).to.deep.equal([
      'MatMul',
      'Add',
      'Sigmoid',
      'Mul',
      'MatMul',
      'Sigmoid',
      'Mul',
      'Sub',
    ]);
    expect(model.graph!.node!.filter((n) => n.opType === 'MatMul').map((n) => n.name)).to.deep.equal([
      'fc',
      'bare',
    ]);
    expect(model.graph!.initializer!.map((t) => t.name)).to.deep.equal(['b', 'w']);
    const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };
    const [before, after] = [await runModel(source, feeds), await runModel(back, feeds)];
    expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
  });

  it('can be rewritten again', async () => {
    const source = save(layerModel({ nodes, initializers }));
    const { target } = await rewriteKnown(source, { w: W });
    const back = join(dirname(source), 'back.onnx');
    await densifyModel(target, back);
    const { layers } = await inspectModel(back);
    expect(layers.map((layer) => [layer.id, layer.weight, layer.activation, layer.bias])).to.deep.equal([
      ['fc', 'w', 'silu', true],
      ['bare', 'w', 'silu', false],
    ]);
  });

  for (const activation of ['Relu', 'Gelu'])
    it(`writes ${activation} at the opset of the model, in float16 too`, async () => {
      for (const [type, opset] of [
        ['float32', 20],
        ['float16', 20],
      ] as const) {
        const parts = {
          nodes: [node('MatMul', ['x', 'w'], ['v']), node(activation, ['v'], ['y'])],
          initializers: [weightTensor('inOut', 'w', type)],
          type,
          opset,
        };
        const source = save(layerModel(parts));
        const { target } = await rewriteKnown(source, { w: W }, { factorType: type, tolerance: 2e-3 });
        const back = join(dirname(source), 'back.onnx');
        await densifyModel(target, back);
        const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1), type } };
        const [before, after] = [await runModel(source, feeds), await runModel(back, feeds)];
        expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(
          type === 'float16' ? 5e-3 : 2e-6,
        );
      }
    });

  it('handles every structure on a real model of opset 9, which runs the same rewritten and dense', async () => {
    const feeds = { x: { dims: [1, 3, 48, 64], data: random(3 * 48 * 64, 2) } };
    for (const structure of STRUCTURES) {
      const folder = workspace();
      const [target, back] = [join(folder, 'out.onnx'), join(folder, 'back.onnx')];
      const report = await rewriteAny(PP_OCR, target, { structure });
      expect(report.layers.filter((layer) => layer.result).map((layer) => layer.result!.op)).to.have.length(
        13,
      );
      expect(report.bytesAfter).to.be.lessThan(0.85 * report.bytesBefore);
      expect(await interfaceOf(target)).to.deep.equal(await interfaceOf(PP_OCR));
      await densifyModel(target, back);
      const [sparse, dense] = [await runModel(target, feeds), await runModel(back, feeds)];
      const [name] = Object.keys(dense);
      expect(sparse[name].dims).to.deep.equal(dense[name].dims);
      expect(relativeDifference(sparse[name].data, dense[name].data)).to.be.at.most(1e-4);
    }
  });

  it('copies a model that has none of our nodes', async () => {
    const source = save(layerModel({ nodes, initializers }));
    const back = join(dirname(source), 'back.onnx');
    const report = await densifyModel(source, back);
    expect(report).to.deep.include({ nodes: [], bytesBefore: report.bytesAfter });
  });

  it('refuses to write over its source, factors that do not fit together, and operators it does not know', async () => {
    const source = save(layerModel({ nodes, initializers }));
    await expectError(() => densifyModel(source, source), 'INVALID_ARGUMENT', /is the source model itself/);
    const bad = (opType: string, U: number[]) =>
      save(
        layerModel({
          nodes: [node(opType, ['x', 'V', 'U'], ['y'], {}, { name: 'odd', domain: 'ai.blockrank' })],
          initializers: [tensor('V', [2, IN], random(2 * IN, 1)), tensor('U', U, random(U[0] * U[1], 1))],
          domains: ['ai.blockrank'],
        }),
      );
    const out = join(workspace(), 'o.onnx');
    await expectError(
      () => densifyModel(bad('LowRankMatMul', [OUT, 3]), out),
      'INVALID_MODEL',
      /'odd' has factors of shapes/,
    );
    await expectError(
      () => densifyModel(bad('SlowMatMul', [OUT, 2]), out),
      'INVALID_MODEL',
      /called SlowMatMul/,
    );
    await expectError(
      () => densifyModel(bad('BlastMatMul', [OUT, 2]), out),
      'INVALID_MODEL',
      /a factor U that is not constant/,
    );
  });

  it('refuses factors that the declared shape of X contradicts, which a MatMul could not be loaded with', async () => {
    const factors = [tensor('V', [2, IN], random(2 * IN, 1)), tensor('U', [OUT, 2], random(2 * OUT, 2))];
    const model = (features: number) =>
      save(
        layerModel({
          nodes: [node('LowRankMatMul', ['x', 'V', 'U'], ['y'], {}, { name: 'odd', domain: 'ai.blockrank' })],
          initializers: factors,
          inputs: [valueInfo('x', ['n', features])],
          domains: ['ai.blockrank'],
        }),
      );
    const out = join(workspace(), 'o.onnx');
    await expectError(
      () => densifyModel(model(IN + 1), out),
      'INVALID_MODEL',
      /'odd' multiplies \d+ features, and its input 'x' is declared with \d+\./,
    );
    expect((await densifyModel(model(IN), out)).nodes).to.deep.equal(['odd']);
  });
});

describe('denseTransposed', () => {
  for (const structure of STRUCTURES)
    for (const interleaved of structure === 'monarch' ? [false, true] : [false])
      it(`multiplies out ${structure}${interleaved ? ', interleaved' : ''}`, async () => {
        for (const [inputs, out, blocksIn, blocksOut] of [
          [12, 20, 3, 4],
          [13, 19, 4, 3],
          [1, 1, 1, 1],
          [7, 5, 7, 5],
          [3, 523, 1, 2],
        ]) {
          const [bi, bo] = structure === 'low-rank' ? [1, 1] : [blocksIn, blocksOut];
          const f = randomFactors({ structure, rank: 3, blocksIn: bi, blocksOut: bo, in: inputs, out }, 5);
          const expected = denseWeight(f, interleaved);
          const found = await denseTransposed(defaultEngine(), f, interleaved);
          const transposed = Array.from(
            { length: inputs * out },
            (_, i) => found[(i % inputs) * out + Math.floor(i / inputs)],
          );
          expect(relativeDifference(transposed, expected)).to.be.at.most(1e-7);
        }
      });

  it('agrees with the fixture of the other tests', async () => {
    const again = knownWeight(W.factors, 42);
    expect(relativeDifference(await denseTransposed(defaultEngine(), W.factors), again.inOut)).to.be.at.most(
      1e-6,
    );
  });
});
