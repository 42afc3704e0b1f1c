import { expect } from 'chai';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs/minimal.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { expectError } from './helpers/errors.js';
import { IN, layerModel, OUT, weightTensor } from './helpers/layer-model.js';
import { constant, node, tensor, valueInfo } from './helpers/onnx.js';
import { PP_OCR } from './helpers/real-model.js';
import { save, sha256, workspace } from './helpers/workspace.js';

const w = weightTensor('inOut');

describe('inspectModel', () => {
  it('lists the products of a real model of Paddle', async () => {
    const info = await inspectModel(PP_OCR);
    expect(info).to.include({ path: PP_OCR, opset: 9, sha256: sha256(PP_OCR), bytes: 10822323 });
    const convs = info.layers.filter((layer) => layer.op === 'Conv');
    expect(convs.map((layer) => layer.reason?.code ?? 'yes')).to.have.length(38);
    expect(convs.filter((layer) => layer.shape !== null)).to.have.length(21);
    const products = info.layers.filter((layer) => layer.op === 'MatMul');
    expect(products).to.have.length(13);
    const found = products.filter((layer) => layer.reason === undefined);
    expect(found.map(({ shape, activation }) => [shape!.in, shape!.out, activation])).to.deep.equal([
      [120, 360, 'none'],
      [120, 120, 'none'],
      [120, 240, 'silu'],
      [240, 120, 'none'],
      [120, 360, 'none'],
      [120, 120, 'none'],
      [120, 240, 'silu'],
      [240, 120, 'none'],
      [120, 6625, 'none'],
    ]);
    expect(found.every((layer) => layer.bias && layer.location === 'constant-node')).to.be.true;
    expect(found.at(-1)).to.include({
      weight: 'linear_85.w_0',
      bytes: 3180000,
      dtype: 'float32',
      input: 'transpose_51.tmp_0',
    });
    const others = products.filter((layer) => layer.reason !== undefined);
    expect(others.every((layer) => layer.reason!.code === 'weight-not-constant')).to.be.true;
  });

  it('hashes the file when the hash is asked for, and refuses one that changed since', async () => {
    const path = save(layerModel({ nodes: [node('MatMul', ['x', 'w'], ['y'])], initializers: [w] }));
    const info = await inspectModel(path);
    const again = await inspectModel(path);
    expect(info.sha256).to.equal(sha256(path));
    const changed = new Uint8Array([...readFileSync(path), 0xf8, 0x7f, 0]);
    writeFileSync(path, changed);
    expect(info.sha256).not.to.equal(sha256(path));
    await expectError(() => again.sha256, 'IO', /changed after it was inspected/);
  });

  it('refuses a product by a weight for other features than its input is declared with', async () => {
    const model = (features: number | string) =>
      save(
        layerModel({
          nodes: [node('MatMul', ['x', 'w'], ['y'], {}, { name: 'fc' })],
          initializers: [w],
          inputs: [valueInfo('x', ['n', features])],
        }),
      );
    await expectError(
      () => inspectModel(model(IN + 1)),
      'INVALID_MODEL',
      /'fc' multiplies 24 features, and its input 'x' is declared with 25/,
    );
    for (const features of [IN, 'features', 0, -1])
      expect((await inspectModel(model(features))).layers[0].reason).to.equal(undefined);
  });

  it('gives unique ids where names are missing or repeated', async () => {
    const nodes = [
      node('MatMul', ['x', 'w'], ['a']),
      node('MatMul', ['x', 'w'], ['b']),
      node('MatMul', ['x', 'w'], ['c'], {}, { name: 'same' }),
      node('MatMul', ['x', 'w'], ['d'], {}, { name: 'same' }),
      node('Sum', ['a', 'b', 'c', 'd'], ['y']),
    ];
    const { layers } = await inspectModel(save(layerModel({ nodes, initializers: [w] })));
    expect(new Set(layers.map((layer) => layer.id)).size).to.equal(4);
    expect(layers.map((layer) => layer.node)).to.deep.equal(['', '', 'same', 'same']);
  });

  it('lists products in bodies and functions, with where they are', async () => {
    const body = {
      name: 'b',
      node: [node('MatMul', ['x', 'w'], ['t'], {}, { name: 'inner' })],
      output: [valueInfo('t', ['n', OUT])],
    };
    const nodes = [
      constant('cond', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
      node('If', ['cond'], ['y'], { then_branch: body, else_branch: body }, { name: 'if' }),
    ];
    const functions = [
      {
        name: 'F',
        domain: 'd',
        input: ['a', 'b'],
        output: ['c'],
        node: [
          node('MatMul', ['a', 'b'], ['c']),
          constant('k', weightTensor('inOut', '')),
          node('MatMul', ['a', 'k'], ['e'], {}, { name: 'held' }),
        ],
        opsetImport: [{ domain: '', version: 17 }],
      },
    ];
    const { layers } = await inspectModel(
      save(layerModel({ nodes, functions, initializers: [w], domains: ['d'] })),
    );
    expect(layers.map(({ id, reason, bytes }) => [id, reason?.code, bytes])).to.deep.equal([
      ['if/0/inner', undefined, 4 * IN * OUT],
      ['if/1/inner', undefined, 4 * IN * OUT],
      ['d.F/MatMul#0', 'weight-not-constant', 0],
      ['d.F/held', 'inside-subgraph', 4 * IN * OUT],
    ]);
  });

  it('does not drop a weight that a body reads', async () => {
    const body = { name: 'b', node: [node('Identity', ['w'], ['t'])], output: [valueInfo('t', [IN, OUT])] };
    const nodes = [
      constant('cond', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
      node('If', ['cond'], ['i'], { then_branch: body, else_branch: body }, { name: 'if' }),
      node('MatMul', ['x', 'w'], ['y']),
    ];
    const { layers } = await inspectModel(save(layerModel({ nodes, initializers: [w] })));
    expect(layers[0].reason).to.include({ code: 'weight-tied' });
  });

  it('lists quantized products as not supported, and what they are', async () => {
    const nodes = [
      node('MatMulNBits', ['x', 'w'], ['a'], {}, { domain: 'com.microsoft' }),
      node('MatMulInteger', ['x', 'w'], ['y']),
    ];
    const { layers } = await inspectModel(save(layerModel({ nodes, initializers: [w] })));
    expect(layers.map((layer) => layer.reason?.code)).to.deep.equal([
      'operator-not-supported',
      'operator-not-supported',
    ]);
    expect(layers[0].reason?.message).to.match(
      /MatMulNBits #0 has a weight packed .*; rewrite the model before/,
    );
  });

  it('refuses files that are no models', async () => {
    const folder = workspace();
    const write = (name: string, bytes: Uint8Array | string) => {
      writeFileSync(join(folder, name), bytes);
      return join(folder, name);
    };
    await expectError(() => inspectModel(write('empty', '')), 'INVALID_MODEL', /no IR version/);
    await expectError(
      () => inspectModel(write('text', 'This is not a model at all.')),
      'INVALID_MODEL',
      /not a valid ONNX file/,
    );
    await expectError(
      () => inspectModel(write('zeros', new Uint8Array(1000))),
      'INVALID_MODEL',
      /field number 0 at byte 0/,
    );
    await expectError(
      () => inspectModel(join(folder, 'missing.onnx')),
      'IO',
      /missing.onnx cannot be read: ENOENT/,
    );
    await expectError(() => inspectModel(folder), 'IO', /expected a file/);
  });

  it('refuses a model that was cut short, wherever that is', async () => {
    const whole = layerModel({ nodes: [node('MatMul', ['x', 'w'], ['y'])], initializers: [w] });
    for (let length = 0; length < whole.length; length += 41) {
      const path = save(whole);
      truncateSync(path, length);
      let code = 'none';
      await inspectModel(path).catch((error: { code: string }) => (code = error.code));
      expect(['INVALID_MODEL', 'UNSUPPORTED_MODEL'], `at ${length}: ${code}`).to.include(code);
    }
  });

  const product = node('MatMul', ['x', 'w'], ['y'], {}, { name: 'fc' });
  const damaged: readonly [string, Parameters<typeof layerModel>[0], RegExp][] = [
    [
      'a value defined twice',
      { nodes: [product, node('Relu', ['x'], ['y'])], initializers: [w] },
      /'y' is defined twice/,
    ],
    ['an initializer given twice', { nodes: [product], initializers: [w, w] }, /'w' is defined twice/],
    [
      'a negative dimension',
      { nodes: [product], initializers: [{ name: 'w', dims: [-1, 2], dataType: 1 }] },
      /'w' of shape \[-1, 2\] has a negative dimension/,
    ],
    [
      'a shape whose product overflows',
      { nodes: [product], initializers: [{ name: 'w', dims: [2 ** 40, 2 ** 40], dataType: 1 }] },
      /more elements than a file can hold/,
    ],
    [
      'a product of one operand',
      { nodes: [node('MatMul', ['x'], ['y'], {}, { name: 'fc' })] },
      /MatMul 'fc' has 1 inputs/,
    ],
  ];
  for (const [name, model, words] of damaged)
    it(`refuses ${name}`, () =>
      expectError(() => inspectModel(save(layerModel(model))), 'INVALID_MODEL', words));

  it('refuses opsets that no runtime promises to run', () =>
    expectError(
      () => inspectModel(save(layerModel({ nodes: [product], initializers: [w], opset: 6 }))),
      'UNSUPPORTED_MODEL',
      /uses opset 6.*7 is the oldest/,
    ));

  it('refuses a bomb of nested bodies without delay', () => {
    let graph = new protobuf.Writer().uint32(18).string('g').finish();
    for (let i = 0; i < 300; i++) {
      const attribute = new protobuf.Writer().uint32(10).string('then').uint32(50).bytes(graph).finish();
      const inner = new protobuf.Writer().uint32(34).string('If').uint32(42).bytes(attribute).finish();
      graph = new protobuf.Writer().uint32(10).bytes(inner).finish();
    }
    const opset = new protobuf.Writer().uint32(16).int64(17).finish();
    const model = new protobuf.Writer()
      .uint32(8)
      .int64(8)
      .uint32(66)
      .bytes(opset)
      .uint32(58)
      .bytes(graph)
      .finish();
    return expectError(() => inspectModel(save(model)), 'INVALID_MODEL', /nested deeper than 100/);
  });

  const body = (from: string, to: string) => ({
    name: 'b',
    node: [node('Identity', [from], [to])],
    output: [valueInfo(to, [IN, OUT])],
  });
  const cycles: readonly [string, Parameters<typeof node>[]][] = [
    [
      'of two nodes',
      [
        ['Identity', ['b'], ['a'], {}, { name: 'first' }],
        ['Identity', ['a'], ['b']],
      ],
    ],
    ['of one', [['Add', ['x', 'a'], ['a'], {}, { name: 'first' }]]],
    [
      'through a body',
      [
        ['If', ['c'], ['a'], { then_branch: body('d', 't'), else_branch: body('d', 'e') }, { name: 'first' }],
        ['Identity', ['a'], ['d']],
      ],
    ],
  ];
  for (const [what, nodes] of cycles)
    it(`refuses a cycle ${what}`, () => {
      const all = [...nodes.map((parts) => node(...parts)), product];
      const model = layerModel({ nodes: all, initializers: [w, tensor('c', [1], [1])] });
      return expectError(() => inspectModel(save(model)), 'INVALID_MODEL', /'first' is part of a cycle/);
    });

  it('takes nodes in any order, and a body with a value of the name of a later one', async () => {
    const nodes = [
      node('MatMul', ['r', 'w'], ['y'], {}, { name: 'fc' }),
      node('If', ['c'], ['i'], { then_branch: body('w', 'late'), else_branch: body('w', 'e') }),
      node('Shape', ['i'], ['late']),
      node('Relu', ['x'], ['r']),
    ];
    const { layers } = await inspectModel(
      save(layerModel({ nodes, initializers: [w, tensor('c', [1], [1])] })),
    );
    expect(layers).to.have.length(1);
  });
});
