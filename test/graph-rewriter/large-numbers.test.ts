import { expect } from 'chai';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { encodeModel, int64s, node, tensor, valueInfo } from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { save } from './helpers/workspace.js';

/** The largest double within int64, in place of the 2⁶³ − 1 that exporters write for "to the end". */
const END = 2 ** 63 - 1024;
const factors = [tensor('V', [12, 2], random(24, 1)), tensor('U', [2, 20], random(40, 2))];
const pair = [node('MatMul', ['r', 'V'], ['t'], {}, { name: 'down' }), node('MatMul', ['t', 'U'], ['y'])];

const layersOf = async (parts: Partial<Parameters<typeof encodeModel>[0]>) => {
  const bytes = encodeModel({
    nodes: [node('Identity', ['x'], ['r']), ...pair],
    inputs: [valueInfo('x', ['n', 12])],
    outputs: [valueInfo('y', ['n', 20])],
    initializers: factors,
    ...parts,
  });
  const { layers } = await inspectModel(save(bytes));
  return layers.map(({ id, factorized }) => [id, factorized?.spec.structure]);
};

describe('numbers that JavaScript cannot hold', () => {
  it('are the end of a Slice, before opset 10 as an attribute', async () => {
    const reshaped = (ends: number) => [
      node('Shape', ['x'], ['s']),
      node('Slice', ['s'], ['last'], { starts: [1], ends: [ends], axes: [0] }),
      node('Concat', ['free', 'last'], ['shape'], { axis: 0 }),
      node('Reshape', ['x', 'shape'], ['r']),
      ...pair,
    ];
    const initializers = [...factors, int64s('free', [-1])];
    const found = await layersOf({ nodes: reshaped(END), initializers, opset: 9 });
    expect(found).to.deep.equal([['down', 'low-rank']]);
    expect(found).to.deep.equal(await layersOf({ nodes: reshaped(2), initializers, opset: 9 }));
  });

  for (const declared of [END, 2 ** 53, 0, -1, -END])
    it(`are no size of a value: ${declared} declared is an open axis`, async () => {
      const inputs = [valueInfo('x', [declared, 12]), valueInfo('unread', [declared])];
      expect(await layersOf({ inputs })).to.deep.equal([['down', 'low-rank']]);
    });
});
