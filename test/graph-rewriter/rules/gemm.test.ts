import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { B, IN, layerModel, OUT, rewriteAndCompare, weightTensor } from '../helpers/layer-model.js';
import { readModel, node, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { save } from '../helpers/workspace.js';

const bias = tensor('b', [OUT], B);

describe('gemmRule', () => {
  for (const transB of [0, 1])
    for (const [alpha, beta] of [
      [1, 1],
      [0.5, 1],
      [1, 2],
      [-1.5, 0.25],
      [1, 0],
    ])
      for (const dims of [[OUT], [1, OUT], [1], [1, 1], []])
        it(`folds transB ${transB}, alpha ${alpha}, beta ${beta}, C of shape [${dims.join(', ')}]`, async () => {
          const c = tensor('b', dims, B.slice(0, dims.includes(OUT) ? OUT : 1));
          const nodes = [
            node('Gemm', ['x', 'w', 'b'], ['y'], { transB }, { name: 'fc', floats: { alpha, beta } }),
          ];
          const initializers = [weightTensor(transB ? 'outIn' : 'inOut'), c];
          const { results } = await rewriteAndCompare({ nodes, initializers, leading: [7] });
          expect(results[0].result).to.include({ op: 'BlastMatMul' });
          expect(results[0].layer.bias).to.equal(beta !== 0);
        });

  it('uses a bias that fits by its own name', async () => {
    const nodes = [node('Gemm', ['x', 'w', 'b'], ['y'])];
    const { target } = await rewriteAndCompare({
      nodes,
      initializers: [weightTensor('inOut'), bias],
      leading: [7],
    });
    expect(readModel(target).graph!.node![0].input).to.deep.equal(['x', 'w.V', 'w.S', 'w.U', 'b']);
  });

  it('does without C', () =>
    rewriteAndCompare({
      nodes: [node('Gemm', ['x', 'w'], ['y'])],
      initializers: [weightTensor('inOut')],
      leading: [3],
    }));

  it('shares a weight between products of different alpha', async () => {
    const nodes = [
      node('Gemm', ['x', 'w'], ['a'], {}, { name: 'one' }),
      node('Gemm', ['x', 'w'], ['c'], {}, { name: 'two', floats: { alpha: 3 } }),
      node('Sub', ['a', 'c'], ['y']),
    ];
    const { results } = await rewriteAndCompare({
      nodes,
      initializers: [weightTensor('inOut')],
      leading: [3],
    });
    expect(results.map((r) => r.layer.weightKey)).to.deep.equal(['w', 'w times 3']);
  });

  const refused: readonly [string, Parameters<typeof node>, readonly ReturnType<typeof tensor>[], string][] =
    [
      ['transA', ['Gemm', ['x', 'w'], ['y'], { transA: 1 }], [], 'gemm-transposed-input'],
      ['alpha 0', ['Gemm', ['x', 'w'], ['y'], {}, { floats: { alpha: 0 } }], [], 'gemm-scalars'],
      [
        'C with a row for each token',
        ['Gemm', ['x', 'w', 'c'], ['y']],
        [tensor('c', [5, OUT], random(5 * OUT, 1))],
        'bias-not-a-row',
      ],
      ['a computed C', ['Gemm', ['x', 'w', 'x'], ['y']], [], 'bias-not-a-row'],
    ];
  for (const [name, args, more, code] of refused)
    it(`refuses ${name}`, async () => {
      const model = layerModel({
        nodes: [node(...args)],
        initializers: [weightTensor('inOut'), ...more],
        inputs: [valueInfo('x', [5, IN])],
      });
      const { layers } = await inspectModel(save(model));
      expect(layers[0].reason).to.include({ code });
      expect(layers[0].shape).to.deep.equal({ in: IN, out: OUT });
      expect(layers[0].weightKey).to.equal(null);
    });
});
