import { expect } from 'chai';
import { dirname, join } from 'node:path';
import onnxProto from 'onnx-proto';
import { applyPlan } from '../../../graph-rewriter/apply.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import { MODEL } from '../../../graph-rewriter/schema.js';
import { delimited } from '../../../graph-rewriter/wire/pieces.js';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { IN, OUT, layerModel, rewriteAndCompare, W, weightTensor } from '../helpers/layer-model.js';
import { node, readModel, valueInfo } from '../helpers/onnx.js';
import { relativeDifference } from '../helpers/reference.js';
import { runModel } from '../helpers/run.js';
import { flatten } from '../helpers/unknown-fields.js';
import { knownFactors, save } from '../helpers/workspace.js';

const { onnx: proto } = onnxProto;

describe('markTied', () => {
  it('keeps a head dense that shares its weight with an embedding', async () => {
    const nodes = [
      node('Gather', ['w', 'ids'], ['e'], {}, { name: 'embed' }),
      node('Transpose', ['w'], ['wt'], { perm: [1, 0] }),
      node('MatMul', ['e', 'wt'], ['y'], {}, { name: 'head' }),
    ];
    const model = layerModel({
      nodes,
      inputs: [valueInfo('ids', ['n'], 'int64')],
      outputs: [valueInfo('y', ['n', IN])],
      initializers: [weightTensor('inOut')],
    });
    const { layers } = await inspectModel(save(model));
    expect(layers[0].reason)
      .to.include({ code: 'weight-tied' })
      .and.have.property('message')
      .match(/Gather 'embed'/);
  });

  it('keeps a weight dense that is an output, or that a refused product reads', async () => {
    const outputs = [valueInfo('y', ['n', OUT]), valueInfo('w', [IN, OUT])];
    const one = await inspectModel(
      save(
        layerModel({
          nodes: [node('MatMul', ['x', 'w'], ['y'])],
          outputs,
          initializers: [weightTensor('inOut')],
        }),
      ),
    );
    expect(one.layers[0].reason?.code).to.equal('weight-tied');
    const nodes = [
      node('Gemm', ['x', 'w'], ['y']),
      node('Gemm', ['t', 'w'], ['z'], { transA: 1 }, { name: 'odd' }),
    ];
    const inputs = [valueInfo('x', ['n', IN]), valueInfo('t', [IN, 'n'])];
    const two = await inspectModel(
      save(
        layerModel({
          nodes,
          inputs,
          outputs: [valueInfo('y', ['n', OUT]), valueInfo('z', ['n', OUT])],
          initializers: [weightTensor('inOut')],
        }),
      ),
    );
    expect(two.layers.map((layer) => layer.reason?.code)).to.deep.equal([
      'weight-tied',
      'gemm-transposed-input',
    ]);
  });

  it('gives the head factors of its own with splitTied, and keeps the embedding', async () => {
    const nodes = [
      node('Gather', ['w', 'ids'], ['e'], {}, { name: 'embed' }),
      node('Relu', ['e'], ['h']),
      node('Transpose', ['w'], ['wt'], { perm: [1, 0] }),
      node('MatMul', ['h', 'wt'], ['y'], {}, { name: 'head' }),
    ];
    const source = save(
      layerModel({
        nodes,
        inputs: [valueInfo('ids', ['n'], 'int64')],
        outputs: [valueInfo('y', ['n', OUT])],
        initializers: [weightTensor('outIn')],
      }),
    );
    const info = await inspectModel(source);
    expect(info.layers[0]).to.deep.include({ shape: { in: IN, out: OUT }, location: 'initializer' });
    expect(info.layers[0].reason?.message).to.match(/--split-tied/);
    const options = { minSize: 1, structure: 'blast', rank: 4, blocks: [3, 4] } as const;
    expect(planRewrite(info, options).layers[0]).to.have.nested.property('keep.code', 'weight-tied');
    const plan = planRewrite(info, { ...options, splitTied: true });
    const target = join(dirname(source), 'out.onnx');
    const { factorize } = knownFactors({ wt: W });
    await applyPlan(source, target, plan, { factorize });
    const { graph } = readModel(target);
    expect(graph!.node!.map((n) => n.opType)).to.deep.equal(['Gather', 'Relu', 'BlastMatMul']);
    expect(graph!.initializer!.map((t) => t.name)).to.deep.equal(['w', 'w.V', 'w.S', 'w.U']);
    const ids = { ids: { dims: [5], data: Float32Array.of(0, 35, 7, 7, 1), type: 'int64' as const } };
    const before = await runModel(source, ids);
    for (const plugin of [false, true]) {
      const after = await runModel(target, ids, plugin);
      expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
    }
  });

  it('keeps a weight dense that the training information names', async () => {
    const parts = { nodes: [node('MatMul', ['x', 'w'], ['y'])], initializers: [weightTensor('inOut')] };
    const bytes = layerModel(parts);
    const binding = proto.TrainingInfoProto.encode({
      updateBinding: [{ key: 'w', value: 'w_new' }],
    }).finish();
    const algorithm = proto.TrainingInfoProto.encode({
      algorithm: { name: 'step', node: [node('Identity', ['w'], ['w_new'])] },
    }).finish();
    for (const info of [binding, algorithm]) {
      const { layers } = await inspectModel(save(flatten([bytes, ...delimited(MODEL.trainingInfo, [info])])));
      expect(layers[0].reason).to.include({ code: 'weight-tied' });
      expect(layers[0].reason?.message).to.match(/training information/);
    }
  });

  it('factorizes a weight once that several products share', async () => {
    const nodes = [
      node('MatMul', ['x', 'w'], ['a'], {}, { name: 'first' }),
      node('Relu', ['a'], ['r']),
      node('MatMul', ['x', 'w'], ['b'], {}, { name: 'second' }),
      node('Sub', ['r', 'b'], ['y']),
    ];
    const { results, calls } = await rewriteAndCompare({ nodes, initializers: [weightTensor('inOut')] });
    expect(results.map((r) => r.result?.op)).to.deep.equal(['BlastMatMulRelu', 'BlastMatMul']);
    expect(calls).to.deep.equal(['first']);
  });

  it('factorizes a weight twice that is used both ways round', async () => {
    const nodes = [
      node('Gemm', ['x', 'w'], ['h'], {}, { name: 'up' }),
      node('Gemm', ['h', 'w'], ['y'], { transB: 1 }, { name: 'down' }),
    ];
    const model = layerModel({
      nodes,
      inputs: [valueInfo('x', ['n', IN])],
      outputs: [valueInfo('y', ['n', IN])],
      initializers: [weightTensor('inOut')],
    });
    const { layers } = await inspectModel(save(model));
    expect(layers.map((layer) => layer.weightKey)).to.deep.equal(['w', 'w transposed']);
    expect(layers.map((layer) => layer.shape)).to.deep.equal([
      { in: IN, out: OUT },
      { in: OUT, out: IN },
    ]);
    expect(W.factors.in).to.equal(IN);
  });
});
