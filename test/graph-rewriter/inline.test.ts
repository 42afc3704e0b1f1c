import { expect } from 'chai';
import { dirname, join } from 'node:path';
import type { onnx } from 'onnx-proto';
import { Tensor } from 'onnxruntime-node';
import { collectCovariances } from '../../graph-rewriter/calibration/index.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { B, IN, OUT, rewriteAndRun, W, weightTensor } from './helpers/layer-model.js';
import {
  constant,
  encodeModel,
  type ModelParts,
  node,
  readModel,
  tensor,
  valueInfo,
} from './helpers/onnx.js';
import { random } from './helpers/reference.js';
import { rewriteAny, save, sha256 } from './helpers/workspace.js';

const inDomain = { domain: 'local' };

function body(
  name: string,
  input: string[],
  nodes: readonly onnx.INodeProto[],
  extra: Partial<onnx.IFunctionProto> = {},
): onnx.IFunctionProto {
  const opsetImport = [
    { domain: '', version: 17 },
    { domain: 'local', version: 1 },
  ];
  return { name, domain: 'local', input, output: ['out'], node: [...nodes], opsetImport, ...extra };
}

/** out = relu(a · w + b), the weights passed in, as PyTorch's exporters write modules. */
const linear = body(
  'Linear',
  ['a', 'w', 'b'],
  [
    node('MatMul', ['a', 'w'], ['p'], {}, { name: 'product' }),
    node('Add', ['p', 'b'], ['s']),
    node('Relu', ['s'], ['out']),
  ],
);
/** The weight inside. */
const held = body(
  'Held',
  ['a'],
  [constant('w', weightTensor('inOut', '')), node('MatMul', ['a', 'w'], ['out'], {}, { name: 'product' })],
);

function model(
  nodes: readonly onnx.INodeProto[],
  functions: readonly onnx.IFunctionProto[],
  more: Partial<ModelParts> = {},
) {
  return encodeModel({
    nodes,
    functions,
    inputs: [valueInfo('x', ['n', IN])],
    outputs: [valueInfo('y', ['n', OUT])],
    initializers: [weightTensor('inOut'), tensor('b', [OUT], B)],
    domains: ['local'],
    ...more,
  });
}

const feeds = { x: { dims: [5, IN], data: random(5 * IN, 7) } };

async function check(bytes: Uint8Array, weights: string[]) {
  const source = save(bytes);
  const known = Object.fromEntries(weights.map((name) => [name, W]));
  const done = await rewriteAndRun(source, feeds, known);
  const after = readModel(done.target);
  return {
    ...done,
    ids: done.results.map(({ layer }) => layer.id),
    ops: after.graph!.node!.map((n) => n.opType),
    functions: after.functions.map((f) => f.name),
    initializers: after.graph!.initializer!.map((t) => t.name),
  };
}

describe('openModel', () => {
  it('rewrites a product in a function that is given its weights, with bias and activation', async () => {
    const call = node('Linear', ['x', 'w', 'b'], ['y'], {}, { ...inDomain, name: 'fc' });
    const { ids, ops, functions, initializers } = await check(model([call], [linear]), ['w']);
    expect(ids).to.deep.equal(['fc/product']);
    expect(ops).to.deep.equal(['BlastMatMulRelu']);
    expect(functions).to.deep.equal(['BlastMatMulRelu']);
    expect(initializers).to.deep.equal(['b', 'w.V', 'w.S', 'w.U']);
  });

  it('takes each call of a function as layers of its own', async () => {
    const w2 = { ...weightTensor('inOut'), name: 'w2' };
    const nodes = [
      node('Linear', ['x', 'w', 'b'], ['l'], {}, { ...inDomain, name: 'one' }),
      node('Linear', ['x', 'w2', 'b'], ['r'], {}, { ...inDomain, name: 'two' }),
      node('Linear', ['x', 'w', 'b'], ['s'], {}, inDomain),
      node('Sum', ['l', 'r', 's'], ['y']),
    ];
    const initializers = [weightTensor('inOut'), w2, tensor('b', [OUT], B)];
    const { ids, calls } = await check(model(nodes, [linear], { initializers }), ['w', 'w2']);
    expect(ids).to.deep.equal(['one/product', 'two/product', 'Linear#2/product']);
    expect(calls).to.deep.equal(['one/product', 'two/product']);
  });

  it('stores a weight once that a function holds and several calls use', async () => {
    const nodes = [
      node('Held', ['x'], ['l'], {}, { ...inDomain, name: 'one' }),
      node('Held', ['x'], ['r'], {}, { ...inDomain, name: 'two' }),
      node('Add', ['l', 'r'], ['y']),
    ];
    const { calls, initializers, functions } = await check(model(nodes, [held]), ['local.Held/w']);
    expect(calls).to.deep.equal(['one/product']);
    expect(initializers.filter((name) => name!.startsWith('local'))).to.have.length(3);
    expect(functions).to.deep.equal(['BlastMatMul']);
  });

  it('goes through functions in functions, and into bodies', async () => {
    const block = body(
      'Block',
      ['a', 'w', 'b'],
      [
        node('Linear', ['a', 'w', 'b'], ['h'], {}, { ...inDomain, name: 'inner' }),
        node('Held', ['a'], ['k'], {}, { ...inDomain, name: 'held' }),
        node('Sub', ['h', 'k'], ['out']),
      ],
    );
    const branch = (name: string) => ({
      name,
      node: [node('Block', ['x', 'w', 'b'], [`${name}.t`], {}, { ...inDomain, name: 'call' })],
      output: [valueInfo(`${name}.t`, ['n', OUT])],
    });
    const nodes = [
      constant('cond', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
      node('If', ['cond'], ['y'], { then_branch: branch('t'), else_branch: branch('e') }, { name: 'if' }),
    ];
    const { ids, functions } = await check(model(nodes, [linear, held, block]), ['w', 'local.Held/w']);
    expect(ids).to.deep.equal([
      'if/0/call/inner/product',
      'if/0/call/held/product',
      'if/1/call/inner/product',
      'if/1/call/held/product',
    ]);
    expect(functions).to.deep.equal(['BlastMatMulRelu', 'BlastMatMul']);
  });

  it('fills in attributes that the call gives, and the defaults of those that it does not', async () => {
    const reference = (name: string, refAttrName: string, type: number) => ({ name, refAttrName, type });
    const scaled = body(
      'Scaled',
      ['a', 'w'],
      [
        { ...node('Gemm', ['a', 'w'], ['g'], { transB: 0 }, { name: 'product' }) },
        { ...node('LeakyRelu', ['g'], ['out']), attribute: [reference('alpha', 'slope', 1)] },
      ],
      { attribute: ['scale', 'slope'] },
    );
    scaled.node![0].attribute!.push(reference('alpha', 'scale', 1), reference('beta', 'none', 1));
    const call = node(
      'Scaled',
      ['x', 'w'],
      ['y'],
      {},
      {
        ...inDomain,
        name: 'fc',
        floats: { scale: 0.25, slope: 0.5 },
      },
    );
    const { ops, results } = await check(model([call], [scaled]), ['w']);
    expect(ops).to.deep.equal(['BlastMatMul', 'LeakyRelu']);
    expect(results[0].result?.op).to.equal('BlastMatMul');
  });

  it('renames values in bodies of the function, and leaves out outputs that a call does not ask for', async () => {
    const branch = (name: string, value: string) => ({
      name,
      node: [node('Add', [value, 'b'], ['t'])],
      output: [valueInfo('t', ['n', OUT])],
    });
    const choose = body(
      'Choose',
      ['a', 'w', 'b'],
      [
        constant('yes', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
        node('MatMul', ['a', 'w'], ['p'], {}, { name: 'product' }),
        node('Neg', ['p'], ['q']),
        node('If', ['yes'], ['out'], { then_branch: branch('t', 'p'), else_branch: branch('e', 'q') }),
      ],
    );
    choose.output = ['out', 'q'];
    const nodes = [
      node('Choose', ['x', 'w', 'b'], ['u', ''], {}, { ...inDomain, name: 'one' }),
      node('Choose', ['x', 'w', 'b'], ['v', 'unread'], {}, { ...inDomain, name: 'two' }),
      node('Mul', ['u', 'v'], ['y']),
    ];
    const { ids } = await check(model(nodes, [choose]), ['w']);
    expect(ids).to.deep.equal(['one/product', 'two/product']);
  });

  it('passes on an input that is an output too, which ONNX Runtime does not load', async () => {
    const pass = body(
      'Pass',
      ['a', 'w', 'absent'],
      [node('MatMul', ['a', 'w'], ['out'], {}, { name: 'product' })],
    );
    pass.output = ['out', 'a'];
    const nodes = [
      node('Pass', ['x', 'w'], ['u', 'same'], {}, { ...inDomain, name: 'fc' }),
      node('Shape', ['same'], ['s']),
      node('Reshape', ['u', 's'], ['y']),
    ];
    const source = save(model(nodes, [pass]));
    const target = join(dirname(source), 'out.onnx');
    await rewriteAny(source, target, { minSize: 1 });
    const after = readModel(target).graph!.node!.map((n) => [n.opType, n.input![0], n.output![0]]);
    expect(after.slice(0, 2)).to.deep.equal([
      ['BlastMatMul', 'x', 'u'],
      ['Identity', 'x', 'same'],
    ]);
  });

  it('keeps a function that something else still calls, and one without products as it is', async () => {
    const plain = body('Plain', ['a'], [node('Identity', ['a'], ['out'])]);
    const nodes = [
      node('Linear', ['x', 'w', 'b'], ['h'], {}, { ...inDomain, name: 'fc' }),
      node('Plain', ['h'], ['y'], {}, inDomain),
    ];
    const { ops, functions } = await check(model(nodes, [linear, plain]), ['w']);
    expect(ops).to.deep.equal(['BlastMatMulRelu', 'Plain']);
    expect(functions).to.deep.equal(['Plain', 'BlastMatMulRelu']);
  });

  it('changes nothing where no layer is rewritten', async () => {
    const call = node('Linear', ['x', 'w', 'b'], ['y'], {}, { ...inDomain, name: 'fc' });
    const source = save(model([call], [linear]));
    const target = join(dirname(source), 'same.onnx');
    const { layers } = await rewriteAny(source, target, { exclude: ['*'] });
    expect(layers.map(({ layer }) => layer.id)).to.deep.equal(['fc/product']);
    expect(sha256(target)).to.equal(sha256(source));
  });

  it('tells overloads apart', async () => {
    // onnx-proto does not know overloads: they are written as field 8 of the nodes and 13 of the functions.
    const { withOverloads } = await import('./helpers/overloads.js');
    const twice = {
      ...linear,
      node: [node('MatMul', ['a', 'w'], ['m'], {}, { name: 'product' }), node('Add', ['m', 'm'], ['out'])],
    };
    const nodes = [
      node('Linear', ['x', 'w', 'b'], ['l'], {}, { ...inDomain, name: 'one' }),
      node('Linear', ['x', 'w', 'b'], ['r'], {}, { ...inDomain, name: 'two' }),
      node('Sub', ['l', 'r'], ['y']),
    ];
    const bytes = withOverloads(
      model(nodes, [linear, twice], { irVersion: 10 }),
      ['', 'twice', ''],
      ['', 'twice'],
    );
    const { ops } = await check(bytes, ['w']);
    expect(ops).to.deep.equal(['BlastMatMulRelu', 'BlastMatMul', 'Add', 'Sub']);
  });

  it('leaves functions of other opsets, and those that nothing calls, with the reason', async () => {
    const older = { ...linear, opsetImport: [{ domain: '', version: 16 }] };
    const call = node('Linear', ['x', 'w', 'b'], ['y'], {}, { ...inDomain, name: 'fc' });
    const { layers } = await inspectModel(save(model([call], [older, held])));
    expect(layers.map(({ id, reason }) => [id, reason?.code])).to.deep.equal([
      ['local.Linear/product', 'weight-not-constant'],
      ['local.Held/product', 'inside-subgraph'],
    ]);
  });

  it('does not follow functions that call themselves, or that grow without bound', async () => {
    const loop = body(
      'Loop',
      ['a', 'w'],
      [
        node('MatMul', ['a', 'w'], ['p'], {}, { name: 'product' }),
        node('Loop', ['a', 'w'], ['out'], {}, inDomain),
      ],
    );
    const call = (name: string) => node(name, ['x', 'w'], ['y'], {}, { ...inDomain, name: 'fc' });
    const one = await inspectModel(save(model([call('Loop')], [loop])));
    expect(one.layers.map((layer) => layer.reason?.code)).to.deep.equal(['weight-not-constant']);
    const levels = Array.from({ length: 30 }, (_, i) =>
      body(
        `L${i}`,
        ['a', 'w'],
        i === 0
          ? [node('MatMul', ['a', 'w'], ['out'], {}, { name: 'product' })]
          : [
              node(`L${i - 1}`, ['a', 'w'], ['l'], {}, inDomain),
              node(`L${i - 1}`, ['a', 'w'], ['r'], {}, inDomain),
              node('Add', ['l', 'r'], ['out']),
            ],
      ),
    );
    const many = await inspectModel(save(model([call('L29')], levels)));
    expect(many.layers.map((layer) => layer.reason?.code)).to.deep.equal(['weight-not-constant']);
  });

  it('calibrates on what enters a layer in a function', async () => {
    const call = node('Linear', ['x', 'w', 'b'], ['h'], {}, { ...inDomain, name: 'fc' });
    const two = body(
      'Two',
      ['a', 'w'],
      [node('Neg', ['a'], ['m']), node('MatMul', ['m', 'w'], ['out'], {}, { name: 'product' })],
    );
    const nodes = [
      call,
      node('Two', ['x', 'w'], ['k'], {}, { ...inDomain, name: 'two' }),
      node('Add', ['h', 'k'], ['y']),
    ];
    const path = save(model(nodes, [linear, two]));
    const { layers } = await inspectModel(path);
    expect(layers.map(({ input }) => input)).to.deep.equal(['x', 'two/m']);
    const x = new Tensor('float32', feeds.x.data, feeds.x.dims);
    const found = await collectCovariances({ modelPath: path, tensors: layers, inputs: [{ x }] });
    const [direct, negated] = [...found.values()];
    expect([direct.samples, negated.samples]).to.deep.equal([5, 5]);
    expect(Math.max(...direct.matrix.map((v, i) => Math.abs(v - negated.matrix[i])))).to.be.below(1e-6);
  });
});
