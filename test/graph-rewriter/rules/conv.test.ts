import { expect } from 'chai';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import { B, IN, OUT, rewriteAndRun, W } from '../helpers/layer-model.js';
import { encodeModel, node, readModel, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { save } from '../helpers/workspace.js';

interface Form {
  readonly places?: readonly number[];
  readonly attributes?: Record<string, number | string | number[]>;
  readonly bias?: boolean;
  readonly relu?: boolean;
  readonly opset?: number;
}

function convModel({ places = [4, 3], attributes = {}, bias = false, relu = false, opset = 17 }: Form) {
  const free = places.map((_, i) => `p${i}`);
  return encodeModel({
    nodes: [
      node('Conv', bias ? ['x', 'w', 'b'] : ['x', 'w'], [relu ? 'v' : 'y'], attributes, { name: 'conv' }),
      ...(relu ? [node('Relu', ['v'], ['y'])] : []),
    ],
    inputs: [valueInfo('x', ['n', IN, ...free])],
    outputs: [valueInfo('y', ['n', OUT, ...free])],
    initializers: [
      tensor('w', [OUT, IN, ...places.map(() => 1)], W.outIn),
      ...(bias ? [tensor('b', [OUT], B)] : []),
    ],
    opset,
  });
}

async function check(form: Form, n = 2) {
  const places = form.places ?? [4, 3];
  const dims = [n, IN, ...places];
  const feeds = {
    x: {
      dims,
      data: random(
        dims.reduce((a, b) => a * b, 1),
        4,
      ),
    },
  };
  const { target, results } = await rewriteAndRun(save(convModel(form)), feeds, { w: W });
  return { results, nodes: readModel(target).graph!.node! };
}

async function reasonOf(weight: readonly number[], attributes: Form['attributes'] = {}) {
  const source = encodeModel({
    nodes: [node('Conv', ['x', 'w'], ['y'], attributes, { name: 'conv' })],
    inputs: [valueInfo('x', ['n', 8, 'h', 'w'])],
    outputs: [valueInfo('y', ['n', 4, 'i', 'j'])],
    initializers: [
      tensor(
        'w',
        weight,
        random(
          weight.reduce((a, b) => a * b, 1),
          1,
        ),
      ),
    ],
  });
  const { layers } = await inspectModel(save(source));
  return layers[0].reason;
}

describe('convRule', () => {
  for (const [what, form] of [
    ['without a bias', {}],
    ['with a bias and an activation', { bias: true, relu: true }],
    ['of one axis', { places: [7], bias: true }],
    ['of three axes', { places: [2, 3, 2] }],
    [
      'that says what it need not',
      { attributes: { kernel_shape: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0], group: 1 } },
    ],
    ['with auto_pad, which adds nothing', { attributes: { auto_pad: 'SAME_UPPER' } }],
    ['at opset 7', { opset: 7, bias: true }],
    ['of one place', { places: [1, 1] }],
  ] as const)
    it(`replaces a 1×1 Conv ${what}`, async () => {
      const { results, nodes } = await check(form as Form);
      expect(results[0].layer).to.deep.include({ op: 'Conv', shape: { in: IN, out: OUT } });
      const op = 'relu' in form ? 'BlastMatMulRelu' : 'BlastMatMul';
      expect(nodes.map((n) => n.opType)).to.deep.equal(['Transpose', op, 'Transpose']);
      expect(nodes.map((n) => n.name)).to.include('conv');
    });

  it('takes no pictures at all', () => check({}, 0));

  it('takes in an Add over the channels', async () => {
    const source = encodeModel({
      nodes: [node('Conv', ['x', 'w'], ['v']), node('Add', ['v', 'b'], ['y'])],
      inputs: [valueInfo('x', ['n', IN, 'h', 'w'])],
      outputs: [valueInfo('y', ['n', OUT, 'h', 'w'])],
      initializers: [tensor('w', [OUT, IN, 1, 1], W.outIn), tensor('b', [1, OUT, 1, 1], B)],
    });
    const feeds = { x: { dims: [1, IN, 3, 5], data: random(15 * IN, 4) } };
    const { results } = await rewriteAndRun(save(source), feeds, { w: W });
    expect(results[0].layer.bias).to.equal(true);
  });

  const refused: readonly [string, readonly number[], Form['attributes'], RegExp][] = [
    ['a larger kernel', [4, 8, 3, 3], {}, /has a kernel of 3×3/],
    ['groups', [4, 2, 1, 1], { group: 4 }, /has 4 groups/],
    ['strides', [4, 8, 1, 1], { strides: [2, 2] }, /has strides of 2×2/],
    ['padding', [4, 8, 1, 1], { pads: [1, 0, 0, 0] }, /pads its input/],
  ];
  for (const [what, dims, attributes, words] of refused)
    it(`leaves a Conv with ${what} dense`, async () => {
      const reason = await reasonOf(dims, attributes);
      expect(reason?.code).to.equal('not-a-matrix-product');
      expect(reason?.message).to.match(words);
    });

  it('refuses a bias that is computed', async () => {
    const source = encodeModel({
      nodes: [node('Conv', ['x', 'w', 'b'], ['y'])],
      inputs: [valueInfo('x', ['n', IN, 'h', 'w']), valueInfo('b', [OUT])],
      outputs: [valueInfo('y', ['n', OUT, 'h', 'w'])],
      initializers: [tensor('w', [OUT, IN, 1, 1], W.outIn)],
    });
    expect((await inspectModel(save(source))).layers[0].reason?.code).to.equal('bias-not-a-row');
  });

  it('is left alone where Transposes cost more, unless named or given a rank', async () => {
    const info = await inspectModel(save(convModel({})));
    expect(info.layers[0].transposes).to.equal(true);
    const code = (plan: object) => {
      const [layer] = planRewrite(info, { minSize: 1, ...plan }).layers;
      return 'keep' in layer ? layer.keep.code : 'rewritten';
    };
    expect(code({})).to.equal('transposes-cost-more');
    expect(code({ include: ['conv'] })).to.equal('rewritten');
    expect(code({ rank: 2 })).to.equal('rewritten');
    const wide = { ...info, layers: [{ ...info.layers[0], shape: { in: 256, out: 256 }, bytes: 4 * 65536 }] };
    expect(planRewrite(wide).layers[0]).to.have.property('spec');
  });
});
