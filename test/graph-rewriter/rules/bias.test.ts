import { expect } from 'chai';
import { B, OUT, rewriteAndCompare, weightTensor } from '../helpers/layer-model.js';
import { constant, node, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';

const matmul = node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc' });
const weight = weightTensor('inOut');
const bias = tensor('b', [OUT], B);

describe('fuseBias', () => {
  for (const inputs of [
    ['m', 'b'],
    ['b', 'm'],
  ])
    it(`takes Add(${inputs.join(', ')})`, async () => {
      const { results } = await rewriteAndCompare({
        nodes: [matmul, node('Add', inputs, ['y'], {}, { name: 'add' })],
        initializers: [weight, bias],
      });
      expect(results[0].layer).to.deep.include({ bias: true, fused: ['add'] });
    });

  it('takes a bias from a Constant node, through Identity, and of one number', async () => {
    const add = node('Add', ['m', 'b1'], ['y']);
    for (const nodes of [
      [constant('b1', bias), matmul, add],
      [matmul, constant('b1', bias), add],
      [constant('b', bias), node('Identity', ['b'], ['b1']), matmul, add],
      [constant('b1', tensor('', [1], [0.5])), matmul, add],
    ]) {
      const { results } = await rewriteAndCompare({ nodes, initializers: [weight] });
      expect(results[0].layer.fused).to.have.length(1);
    }
  });

  it('gives nodes without a bias a zero where another node of the name has one', async () => {
    const nodes = [
      matmul,
      node('Add', ['m', 'b'], ['a']),
      node('MatMul', ['x', 'w'], ['c'], {}, { name: 'bare' }),
      node('Sub', ['a', 'c'], ['y']),
    ];
    const { results, calls } = await rewriteAndCompare({ nodes, initializers: [weight, bias] });
    expect(results.map((r) => r.layer.bias)).to.deep.equal([true, false]);
    expect(calls).to.deep.equal(['fc']);
  });

  const left: readonly [string, Parameters<typeof rewriteAndCompare>[0]][] = [
    [
      'an Add of a value that is read elsewhere',
      {
        nodes: [matmul, node('Add', ['m', 'b'], ['a']), node('Mul', ['m', 'a'], ['y'])],
        initializers: [weight, bias],
      },
    ],
    [
      'an Add of a value that is an output',
      {
        nodes: [matmul, node('Add', ['m', 'b'], ['y'])],
        initializers: [weight, bias],
        outputs: [valueInfo('y', ['a', 'b', OUT]), valueInfo('m', ['a', 'b', OUT])],
      },
    ],
    [
      'an Add of a matrix',
      {
        nodes: [matmul, node('Add', ['m', 'b'], ['y'])],
        initializers: [weight, tensor('b', [5, OUT], random(5 * OUT, 1))],
      },
    ],
    [
      'an Add of the product to itself',
      { nodes: [matmul, node('Add', ['m', 'm'], ['y'])], initializers: [weight] },
    ],
    [
      'an Add of a computed row',
      {
        nodes: [matmul, node('Relu', ['b'], ['b1']), node('Add', ['m', 'b1'], ['y'])],
        initializers: [weight, bias],
      },
    ],
  ];
  for (const [name, model] of left)
    it(`leaves ${name}`, async () => {
      const { results } = await rewriteAndCompare(model);
      expect(results[0].layer).to.deep.include({ bias: false, fused: [] });
    });
});
