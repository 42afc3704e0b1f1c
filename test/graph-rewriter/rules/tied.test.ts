import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { IN, OUT, layerModel, rewriteAndCompare, W, weightTensor } from '../helpers/layer-model.js';
import { node, valueInfo } from '../helpers/onnx.js';
import { save } from '../helpers/workspace.js';

describe('refuseTied', () => {
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
