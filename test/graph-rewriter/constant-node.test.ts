import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { B, IN, layerModel, OUT, rewriteAndCompare, W } from './helpers/layer-model.js';
import { constant, int64s, node, readModel, tensor } from './helpers/onnx.js';
import { save } from './helpers/workspace.js';

const product = node('MatMul', ['x', 'v'], ['y'], {}, { name: 'fc' });

/** A Constant whose value stands in an attribute of its own type. */
function given(output: string, attribute: onnx.IAttributeProto): onnx.INodeProto {
  return { opType: 'Constant', output: [output], attribute: [attribute] };
}
const FLOAT = 1;
const INT = 2;
const STRING = 3;
const FLOATS = 6;
const INTS = 7;
const STRINGS = 8;
const SPARSE = 11;

describe('constantTensor', () => {
  it('reads value_floats as a weight, and value_ints as shapes and axes', async () => {
    const { target, results } = await rewriteAndCompare({
      nodes: [
        given('w', { name: 'value_floats', type: FLOATS, floats: [...W.inOut] }),
        given('s', { name: 'value_ints', type: INTS, ints: [1, IN, OUT] }),
        given('axes', { name: 'value_ints', type: INTS, ints: [0] }),
        node('Reshape', ['w', 's'], ['u']),
        node('Squeeze', ['u', 'axes'], ['v']),
        product,
      ],
      weights: { v: W },
    });
    expect(results[0].layer).to.deep.include({ location: 'constant-node', bytes: 4 * IN * OUT });
    expect(readModel(target).graph!.node!.map((n) => n.opType)).to.deep.equal(['BlastMatMul']);
  });

  it('factorizes a weight in value_floats once that two products read', async () => {
    const { calls } = await rewriteAndCompare({
      nodes: [
        given('w', { name: 'value_floats', type: FLOATS, floats: [...W.inOut] }),
        constant('s', int64s('', [IN, OUT])),
        node('Reshape', ['w', 's'], ['v']),
        node('MatMul', ['x', 'v'], ['a'], {}, { name: 'one' }),
        node('MatMul', ['x', 'v'], ['b'], {}, { name: 'two' }),
        node('Sum', ['a', 'b'], ['y']),
      ],
      weights: { v: W },
    });
    expect(calls).to.deep.equal(['one']);
  });

  it('reads biases in value_floats, also of one name in two bodies', async () => {
    const { results } = await rewriteAndCompare({
      nodes: [
        constant('w', tensor('', [IN, OUT], W.inOut)),
        given('b', { name: 'value_floats', type: FLOATS, floats: [...B] }),
        node('MatMul', ['x', 'w'], ['p']),
        node('Add', ['p', 'b'], ['y']),
      ],
      weights: { w: W },
    });
    expect(results[0].layer.bias).to.equal(true);
    const branch = (name: string, scale: number): onnx.IGraphProto => ({
      name,
      node: [
        given('b', { name: 'value_floats', type: FLOATS, floats: [...B].map((v) => scale * v) }),
        node('Gemm', ['x', 'w', 'b'], [`${name}.y`], {}, { floats: { beta: 0.5 } }),
      ],
      output: [{ name: `${name}.y`, type: { tensorType: { elemType: 1 } } }],
    });
    for (const condition of [0, 1])
      await rewriteAndCompare({
        leading: [3],
        nodes: [
          constant('c', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(condition) }),
          node('If', ['c'], ['y'], { then_branch: branch('t', 1), else_branch: branch('e', -2) }),
        ],
        initializers: [tensor('w', [IN, OUT], W.inOut)],
      });
  });

  it('reads scalars of activations in value_float, 0 too, which proto3 leaves out', async () => {
    const { results } = await rewriteAndCompare({
      nodes: [
        constant('w', tensor('', [IN, OUT], W.inOut)),
        given('one', { name: 'value_float', type: FLOAT, f: 1 }),
        given('zero', { name: 'value_float', type: FLOAT }),
        node('MatMul', ['x', 'w'], ['p']),
        node('Sigmoid', ['p'], ['s']),
        node('Mul', ['p', 's'], ['q']),
        node('Mul', ['q', 'one'], ['r']),
        node('Add', ['r', 'zero'], ['y']),
      ],
      weights: { w: W },
    });
    expect(results[0].layer.activation).to.equal('silu');
  });

  const none: readonly [string, onnx.IAttributeProto, string, RegExp][] = [
    ['value_string', { type: STRING, s: new Uint8Array([97]) }, 'weight-rank', /value_string,/],
    ['value_strings', { type: STRINGS, strings: [new Uint8Array([97])] }, 'weight-rank', /value_strings/],
    ['sparse_value', { type: SPARSE, sparseTensor: { dims: [IN, OUT] } }, 'weight-rank', /sparse_value/],
    ['value_float', { type: FLOAT, f: 2 }, 'weight-rank', /shape \[\]; only matrices/],
    ['value_floats', { type: FLOATS, floats: [1, 2] }, 'weight-rank', /shape \[2\]; only matrices/],
    ['value_int', { type: INT, i: 3 }, 'weight-type', /type int64/],
    ['value_ints', { type: INTS, ints: [3, 4] }, 'weight-type', /type int64/],
  ];
  for (const [name, attribute, code, words] of none)
    it(`says what ${name} holds in the place of a weight`, async () => {
      const model = layerModel({ nodes: [given('v', { name, ...attribute }), product] });
      const [{ reason }] = (await inspectModel(save(model))).layers;
      expect(reason).to.include({ code });
      expect(reason?.message).to.match(words);
    });
});
