import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { IN, layerModel, OUT, rewriteAndCompare, W, weightTensor } from '../helpers/layer-model.js';
import { constant, int64s, readModel, node, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { save } from '../helpers/workspace.js';

const matmul = node('MatMul', ['x', 'w'], ['y'], {}, { name: 'fc' });

async function reasonOf(model: Uint8Array) {
  const { layers } = await inspectModel(save(model));
  expect(layers).to.have.length(1);
  return layers[0].reason;
}

describe('matmulRule', () => {
  for (const opset of [7, 9, 13, 17, 20])
    it(`replaces a product with an initializer at opset ${opset}`, async () => {
      const { results, target } = await rewriteAndCompare({
        nodes: [matmul],
        initializers: [weightTensor('inOut')],
        opset,
      });
      expect(results[0].result).to.include({
        op: 'BlastMatMul',
        relativeError: 0.125,
        bytesBefore: IN * OUT * 4,
      });
      const { graph } = readModel(target);
      expect(graph!.node!.map((n) => [n.name, n.opType, n.domain])).to.deep.equal([
        ['fc', 'BlastMatMul', 'ai.blockrank'],
      ]);
      expect(graph!.initializer!.map((t) => t.name)).to.deep.equal(['w.V', 'w.S', 'w.U']);
    });

  it('replaces a product with a Constant node, and drops that', async () => {
    const { target } = await rewriteAndCompare({
      nodes: [constant('w', weightTensor('inOut', '')), matmul],
      opset: 9,
    });
    expect(readModel(target).graph!.node!.map((n) => n.opType)).to.deep.equal(['BlastMatMul']);
  });

  it('looks through Identity and Transpose', async () => {
    const nodes = [
      node('Identity', ['w'], ['w1']),
      node('Transpose', ['w1'], ['w2'], { perm: [1, 0] }),
      node('MatMul', ['x', 'w2'], ['y']),
    ];
    const { results, target } = await rewriteAndCompare({
      nodes,
      initializers: [weightTensor('outIn')],
      weights: { w2: W },
    });
    expect(results[0].layer.shape).to.deep.equal({ in: IN, out: OUT });
    expect(readModel(target).graph!.node!.map((n) => n.opType)).to.deep.equal(['BlastMatMul']);
  });

  for (const leading of [[], [1], [0], [1, 0], [2, 1, 3]])
    it(`keeps the result for X of shape [${[...leading, IN].join(', ')}]`, () =>
      rewriteAndCompare({ nodes: [matmul], initializers: [weightTensor('inOut')], leading }));

  it('computes in float16 where the weight is float16', async () => {
    const { results } = await rewriteAndCompare(
      { nodes: [matmul], initializers: [weightTensor('inOut', 'w', 'float16')], type: 'float16' },
      { factorType: 'float16' },
    );
    expect(results[0].layer.dtype).to.equal('float16');
  });

  it('reads numbers from typed fields', async () => {
    const raw = weightTensor('inOut');
    const floats = [...new Float32Array(raw.rawData!.slice().buffer)];
    await rewriteAndCompare({
      nodes: [matmul],
      initializers: [{ name: 'w', dims: raw.dims!, dataType: 1, floatData: floats }],
    });
    const half = weightTensor('inOut', 'w', 'float16').rawData!;
    const bits = [...new Uint16Array(half.slice().buffer)];
    await rewriteAndCompare({
      nodes: [matmul],
      type: 'float16',
      initializers: [{ name: 'w', dims: raw.dims!, dataType: 10, int32Data: bits }],
    });
  });

  it('refuses a computed operand', async () => {
    const model = layerModel({
      nodes: [node('Relu', ['v'], ['w'], {}, { name: 'r' }), matmul],
      inputs: [valueInfo('x', ['n', IN]), valueInfo('v', [IN, OUT])],
    });
    expect(await reasonOf(model))
      .to.include({ code: 'weight-not-constant' })
      .and.have.property('message')
      .match(/Relu 'r'/);
  });

  it('refuses an initializer that callers may override', async () => {
    const inputs = [valueInfo('x', ['n', IN]), valueInfo('w', [IN, OUT])];
    const model = layerModel({ nodes: [matmul], initializers: [weightTensor('inOut')], inputs });
    expect(await reasonOf(model)).to.include({ code: 'weight-is-graph-input' });
  });

  it('takes an initializer that IR 3 lists among the inputs, and takes it off that list', async () => {
    const inputs = [valueInfo('x', ['d0', 'd1', IN]), valueInfo('w', [IN, OUT]), valueInfo('b', [OUT])];
    const { target } = await rewriteAndCompare({
      nodes: [node('MatMul', ['x', 'w'], ['m']), node('Mul', ['m', 'b'], ['y'])],
      initializers: [weightTensor('inOut'), tensor('b', [OUT], random(OUT, 1))],
      inputs,
      irVersion: 3,
      opset: 8,
    });
    const model = readModel(target);
    expect(Number(model.irVersion)).to.equal(8);
    expect(model.graph!.input!.map((i) => i.name)).to.deep.equal(['x']);
  });

  it('refuses weights with a batch', async () => {
    const initializers = [tensor('w', [2, IN, OUT], random(2 * IN * OUT, 1))];
    expect(await reasonOf(layerModel({ nodes: [matmul], initializers }))).to.include({ code: 'weight-rank' });
  });

  for (const [dims, leading] of [
    [
      [1, IN, OUT],
      [2, 5],
    ],
    [
      [1, IN, OUT],
      [3, 2, 5],
    ],
    [
      [1, 1, IN, OUT],
      [3, 2, 5],
    ],
  ])
    it(`takes a weight of shape [${dims.join(', ')}] for X of ${leading.length + 1} axes`, async () => {
      const initializers = [{ ...weightTensor('inOut'), dims }];
      const { results } = await rewriteAndCompare({ nodes: [matmul], initializers, leading });
      expect(results[0].result?.op).to.equal('BlastMatMul');
    });

  it('takes a batch of 1 that is transposed', async () => {
    const nodes = [node('Transpose', ['w'], ['v'], { perm: [0, 2, 1] }), node('MatMul', ['x', 'v'], ['y'])];
    const initializers = [{ ...weightTensor('outIn'), dims: [1, OUT, IN] }];
    await rewriteAndCompare({ nodes, initializers, weights: { v: W } });
  });

  it('takes a batch of 1 for an X of unknown shape where Y is known to have more axes', async () => {
    const nodes = [node('Relu', ['x'], ['r']), node('MatMul', ['r', 'w'], ['y'])];
    const initializers = [{ ...weightTensor('inOut'), dims: [1, IN, OUT] }];
    await rewriteAndCompare({ nodes, initializers, leading: [3, 2, 5] });
  });

  it('refuses a batch of 1 that adds axes to the result, or may add them', async () => {
    const initializers = [{ ...weightTensor('inOut'), dims: [1, IN, OUT] }];
    const outputs = [valueInfo('y', [1, 'n', OUT])];
    const adds = layerModel({ nodes: [matmul], initializers, leading: [5], outputs });
    expect((await reasonOf(adds))?.message).to.match(/MatMul 'fc' adds axes to 'x', which has 2/);
    const nodes = [node('Relu', ['x'], ['r']), node('MatMul', ['r', 'w'], ['y'])];
    const may = layerModel({ nodes, initializers, leading: [5], outputs });
    expect((await reasonOf(may))?.message).to.match(/declares no shape of 'r'/);
  });

  it('refuses a sparse initializer', async () => {
    const sparse = [{ values: tensor('w', [2], [1, 2]), indices: int64s('', [0, 7]), dims: [IN, OUT] }];
    expect(await reasonOf(layerModel({ nodes: [matmul], sparse })))
      .to.include({ code: 'weight-rank' })
      .and.have.property('message')
      .match(/'w' is a sparse initializer/);
  });
});
