import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { B, IN, layerModel, OUT, rewriteAndCompare, weightTensor } from '../helpers/layer-model.js';
import { node, tensor, valueInfo } from '../helpers/onnx.js';
import { save } from '../helpers/workspace.js';

const domain = 'com.microsoft';
const domains = [domain];
const bias = tensor('b', [OUT], B);

async function reasonOf(attributes: Record<string, number | string>, opType: string, floats = {}) {
  const nodes = [node(opType, ['x', 'w'], ['y'], attributes, { domain, floats })];
  const model = layerModel({
    nodes,
    initializers: [weightTensor('inOut')],
    inputs: [valueInfo('x', [5, IN])],
    domains,
  });
  return (await inspectModel(save(model))).layers[0].reason;
}

describe('fusedMatMulRule', () => {
  for (const transB of [0, 1])
    it(`folds alpha and transB ${transB}, and fuses what follows`, async () => {
      const { results } = await rewriteAndCompare({
        nodes: [
          node('FusedMatMul', ['x', 'w'], ['m'], { transB }, { domain, floats: { alpha: 0.5 } }),
          node('Add', ['m', 'b'], ['v']),
          node('Relu', ['v'], ['y']),
        ],
        initializers: [weightTensor(transB ? 'outIn' : 'inOut'), bias],
        domains,
      });
      expect(results[0].layer.op).to.equal('FusedMatMul');
      expect(results[0].result?.op).to.equal('BlastMatMulRelu');
    });

  it('refuses moved axes and an alpha of 0', async () => {
    for (const name of ['transA', 'transBatchA', 'transBatchB'])
      expect(await reasonOf({ [name]: 1 }, 'FusedMatMul')).to.include({ code: 'gemm-transposed-input' });
    expect(await reasonOf({}, 'FusedMatMul', { alpha: 0 })).to.include({ code: 'gemm-scalars' });
  });
});

describe('fusedGemmRule', () => {
  it('takes Relu into the operator, and nothing after it', async () => {
    const { results } = await rewriteAndCompare({
      nodes: [
        node('FusedGemm', ['x', 'w', 'b'], ['r'], { transB: 1, activation: 'Relu' }, { domain }),
        node('Add', ['r', 'b'], ['y']),
      ],
      initializers: [weightTensor('outIn'), bias],
      leading: [7],
      domains,
    });
    expect(results[0].result).to.include({ op: 'BlastMatMulRelu' });
    expect(results[0].layer.fused).to.deep.equal([]);
  });

  it('refuses other activations', async () => {
    expect(await reasonOf({ activation: 'LeakyRelu' }, 'FusedGemm'))
      .to.include({ code: 'operator-not-supported' })
      .and.have.property('message')
      .match(/computes LeakyRelu/);
  });
});
