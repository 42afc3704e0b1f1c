import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { IN, layerModel, OUT, rewriteAndRun, W } from '../helpers/layer-model.js';
import { encodeModel, node, readModel, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { save } from '../helpers/workspace.js';

/** y [..., OUT, n] = W · x [..., IN, n], or a vector. */
function leftModel(batch: readonly string[], vector = false, bias?: readonly number[], dims = [OUT, IN]) {
  const columns = vector ? [] : ['n'];
  return encodeModel({
    nodes: [
      node('MatMul', ['w', 'x'], [bias ? 'v' : 'y'], {}, { name: 'mix' }),
      ...(bias ? [node('Add', ['v', 'b'], ['y'])] : []),
    ],
    inputs: [valueInfo('x', [...batch, IN, ...columns])],
    outputs: [valueInfo('y', [...batch, OUT, ...columns])],
    initializers: [tensor('w', dims, W.outIn), ...(bias ? [tensor('b', bias, random(OUT, 8))] : [])],
  });
}

async function check(model: Uint8Array, dims: readonly number[]) {
  const feeds = {
    x: {
      dims,
      data: random(
        dims.reduce((a, b) => a * b, 1),
        4,
      ),
    },
  };
  const { target, results } = await rewriteAndRun(save(model), feeds, { w: W }, { tolerance: 4e-6 });
  return { results, ops: readModel(target).graph!.node!.map((n) => n.opType) };
}

async function reasonOf(model: Uint8Array) {
  const { layers } = await inspectModel(save(model));
  return layers[0].reason;
}

describe('matmulRule, with the weight on the left', () => {
  const around = ['Transpose', 'BlastMatMul', 'Transpose'];
  it('transposes a matrix', async () => {
    const { results, ops } = await check(leftModel([]), [IN, 7]);
    expect(ops).to.deep.equal(around);
    expect(results[0].layer).to.deep.include({ shape: { in: IN, out: OUT }, transposes: true });
  });

  it('transposes batches', async () => {
    expect((await check(leftModel(['a', 'b']), [2, 3, IN, 5])).ops).to.deep.equal(around);
    expect((await check(leftModel(['a'], false, undefined, [1, OUT, IN]), [2, IN, 5])).ops).to.deep.equal(
      around,
    );
  });

  it('needs no Transpose for a vector', async () => {
    const { ops } = await check(leftModel([], true), [IN]);
    expect(ops).to.deep.equal(['BlastMatMul']);
  });

  it('takes no columns', () => check(leftModel(['a']), [2, IN, 0]));

  it('takes in a bias that is a column', async () => {
    const { results } = await check(leftModel(['a'], false, [OUT, 1]), [2, IN, 5]);
    expect(results[0].layer.bias).to.equal(true);
  });

  it('leaves rotary frequencies dense, an outer product', async () => {
    const nodes = [node('MatMul', ['w', 'x'], ['y'], {}, { name: 'rope' })];
    const initializers = [tensor('w', [1, 32, 1], random(32, 1))];
    const reason = await reasonOf(layerModel({ nodes, initializers }));
    expect(reason).to.include({ code: 'weight-on-the-left' });
    expect(reason?.message).to.match(/left operand of MatMul 'rope', has shape \[1, 32, 1\]/);
  });

  it('leaves a weight dense whose input has an unknown number of axes, or fewer than the weight', async () => {
    const nodes = [node('Relu', ['x'], ['r']), node('MatMul', ['w', 'r'], ['y'])];
    const parts = { inputs: [valueInfo('x', ['a', IN, 'n'])], outputs: [valueInfo('y', ['a', OUT, 'n'])] };
    const unknown = layerModel({ nodes, ...parts, initializers: [tensor('w', [OUT, IN], W.outIn)] });
    expect(await reasonOf(unknown)).to.include({ code: 'shape-unknown' });
    const fewer = leftModel([], false, undefined, [1, OUT, IN]);
    expect(await reasonOf(fewer)).to.include({ code: 'shape-unknown' });
  });

  it('leaves a product of two constants to the right operand', async () => {
    const model = layerModel({
      nodes: [node('MatMul', ['c', 'w'], ['y'])],
      initializers: [tensor('c', [5, IN], random(5 * IN, 1)), tensor('w', [IN, OUT], W.inOut)],
      outputs: [valueInfo('y', [5, OUT])],
    });
    expect((await inspectModel(save(model))).layers[0]).to.include({ weight: 'w', input: 'c' });
  });
});
