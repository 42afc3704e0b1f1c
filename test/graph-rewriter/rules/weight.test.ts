import { expect } from 'chai';
import { existsSync } from 'node:fs';
import type { onnx } from 'onnx-proto';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import { dataTypeNumber } from '../../../graph-rewriter/schema.js';
import { IN, layerModel, OUT, rewriteAndCompare, W, weightTensor } from '../helpers/layer-model.js';
import { constant, int64s, node, readModel, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { expectError } from '../helpers/errors.js';
import { knownFrom, type KnownWeight, rewriteAny, save } from '../helpers/workspace.js';

const [FLOAT, HALF, DOUBLE] = [1, 10, 11];
const product = node('MatMul', ['x', 'v'], ['y'], {}, { name: 'fc' });

async function opsAfter(model: Parameters<typeof rewriteAndCompare>[0], options = {}) {
  const { target, results } = await rewriteAndCompare({ weights: { v: W }, ...model }, options);
  const { graph } = readModel(target);
  return {
    ops: graph!.node!.map((n) => n.opType),
    names: graph!.initializer!.map((t) => t.name),
    layer: results[0].layer,
  };
}

async function reasonOf(model: Parameters<typeof layerModel>[0]) {
  const { layers } = await inspectModel(save(layerModel(model)));
  expect(layers).to.have.length(1);
  return layers[0].reason;
}

describe('findWeight, behind nodes that only reshape', () => {
  const chains: readonly [
    string,
    readonly onnx.INodeProto[],
    readonly number[],
    'inOut' | 'outIn',
    number?,
  ][] = [
    ['Reshape from one axis', [node('Reshape', ['w', 's'], ['v'])], [IN * OUT], 'inOut'],
    ['Reshape with 0 and −1', [node('Reshape', ['w', 'copy'], ['v'])], [IN, 4, OUT / 4], 'inOut'],
    ['Squeeze by an input', [node('Squeeze', ['w', 'axes'], ['v'])], [1, 1, IN, OUT], 'inOut'],
    ['Squeeze of all axes of size 1', [node('Squeeze', ['w'], ['v'])], [IN, 1, OUT, 1], 'inOut'],
    [
      'Squeeze by an attribute',
      [node('Squeeze', ['w'], ['v'], { axes: [0, -1] })],
      [1, IN, OUT, 1],
      'inOut',
      11,
    ],
    [
      'Unsqueeze, Transpose of three axes, Squeeze',
      [
        node('Unsqueeze', ['w', 'one'], ['a']),
        node('Transpose', ['a'], ['b'], { perm: [2, 1, 0] }),
        node('Squeeze', ['b', 'one'], ['v']),
      ],
      [OUT, IN],
      'outIn',
    ],
    [
      'Reshape, Identity, Transpose, Identity',
      [
        node('Reshape', ['w', 'sT'], ['a']),
        node('Identity', ['a'], ['b']),
        node('Transpose', ['b'], ['c']),
        node('Identity', ['c'], ['v']),
      ],
      [2, OUT / 2, IN],
      'outIn',
    ],
  ];
  const shapes = [
    int64s('s', [IN, OUT]),
    int64s('sT', [OUT, IN]),
    int64s('copy', [0, -1]),
    int64s('axes', [0, 1]),
    int64s('one', [1]),
  ];
  for (const [name, nodes, dims, orientation, opset] of chains)
    it(`reads a weight behind ${name}`, async () => {
      const { ops } = await opsAfter({
        nodes: [...nodes, product],
        initializers: [{ ...weightTensor(orientation), dims: [...dims] }, ...shapes],
        ...(opset !== undefined && { opset }),
      });
      expect(ops).to.deep.equal(['BlastMatMul']);
    });

  it('reads a shape that is a Constant node, and drops it with the Reshape', async () => {
    const { ops } = await opsAfter({
      nodes: [constant('t', int64s('', [IN, OUT])), node('Reshape', ['w', 't'], ['v']), product],
      initializers: [{ ...weightTensor('inOut'), dims: [IN * OUT] }],
    });
    expect(ops).to.deep.equal(['BlastMatMul']);
  });

  it('factorizes twice what two chains read as different matrices, and once what they read as the same', async () => {
    const nodes = [
      node('Reshape', ['w', 's'], ['v']),
      node('Identity', ['v'], ['v2']),
      node('Reshape', ['w', 'half'], ['u']),
      product,
      node('MatMul', ['x', 'v2'], ['y2']),
      node('MatMul', ['z', 'u'], ['y3']),
    ];
    const { layers } = await inspectModel(
      save(
        layerModel({
          nodes,
          inputs: [valueInfo('x', ['n', IN]), valueInfo('z', ['n', IN / 2])],
          outputs: [valueInfo('y', ['n', OUT]), valueInfo('y2', ['n', OUT]), valueInfo('y3', ['n', 2 * OUT])],
          initializers: [
            { ...weightTensor('inOut'), dims: [IN * OUT] },
            int64s('s', [IN, OUT]),
            int64s('half', [IN / 2, 2 * OUT]),
          ],
        }),
      ),
    );
    const keys = layers.map((layer) => layer.weightKey);
    expect(keys[0]).to.equal(keys[1]).and.not.equal(keys[2]);
    expect(layers[2].shape).to.deep.equal({ in: IN / 2, out: 2 * OUT });
  });

  const unread: readonly [string, readonly onnx.INodeProto[], readonly number[]][] = [
    ['a computed shape', [node('Reshape', ['w', 'dyn'], ['v'])], [IN * OUT]],
    [
      'numbers in another order',
      [node('Transpose', ['w'], ['t'], { perm: [1, 0, 2] }), node('Reshape', ['t', 's'], ['v'])],
      [4, IN / 4, OUT],
    ],
    [
      'a matrix that is transposed and then cut up',
      [node('Transpose', ['w'], ['t']), node('Reshape', ['t', 's'], ['v'])],
      [OUT / 2, IN * 2],
    ],
  ];
  for (const [name, nodes, dims] of unread)
    it(`keeps dense what has ${name}`, async () => {
      const reason = await reasonOf({
        nodes: [...nodes, product],
        inputs: [valueInfo('x', ['n', IN]), valueInfo('dyn', [2], 'int64')],
        initializers: [{ ...weightTensor('inOut'), dims: [...dims] }, ...shapes],
      });
      expect(reason?.code).to.equal('weight-not-constant');
    });
});

describe('readWeight', () => {
  const short: readonly [string, onnx.ITensorProto, RegExp][] = [
    ['raw data', { rawData: new Uint8Array(4 * IN * OUT - 4) }, /\[24, 36\] has data of 863 elements/],
    ['float_data', { floatData: [1, 2, 3] }, /has data of 3 elements/],
    ['nothing', {}, /has data of 0 elements/],
  ];
  for (const [what, data, words] of short)
    it(`refuses a weight with ${what} of another length than its shape says`, async () => {
      const source = save(
        layerModel({
          nodes: [node('MatMul', ['x', 'w'], ['y'])],
          initializers: [{ name: 'w', dims: [IN, OUT], dataType: FLOAT, ...data }],
        }),
      );
      await expectError(() => rewriteAny(source, `${source}.out`, { minSize: 1 }), 'INVALID_MODEL', words);
      expect(existsSync(`${source}.out`)).to.equal(false);
    });
});

describe('findWeight, behind Cast', () => {
  it('reads float16 weights of float32 products, and writes float16 factors by default', async () => {
    const model = {
      nodes: [node('Cast', ['w'], ['v'], { to: FLOAT }), product],
      initializers: [weightTensor('inOut', 'w', 'float16')],
      readTolerance: 2e-3,
    };
    const { ops, layer } = await opsAfter(model, { factorType: 'float16', tolerance: 5e-3 });
    expect(ops).to.deep.equal(['BlastMatMul']);
    expect(layer).to.deep.include({
      dtype: 'float32',
      bytes: 2 * IN * OUT,
      stored: { dtype: 'float16', bytes: 2 * IN * OUT },
    });
    const [decision] = planRewrite(await inspectModel(save(layerModel(model))), { minSize: 1 }).layers;
    expect(decision).to.include({ factorType: 'float16' });
  });

  it('rounds what is cast to float16', async () => {
    const { ops } = await opsAfter(
      {
        nodes: [node('Cast', ['w'], ['v'], { to: HALF }), product],
        initializers: [weightTensor('inOut')],
        type: 'float16',
      },
      { factorType: 'float16' },
    );
    expect(ops).to.deep.equal(['BlastMatMul']);
  });

  it('reads float64 through a Cast, and leaves a float64 product dense with its type', async () => {
    const double = { name: 'w', dims: [IN, OUT], dataType: DOUBLE, doubleData: [...W.inOut] };
    const { ops } = await opsAfter({
      nodes: [node('Cast', ['w'], ['v'], { to: FLOAT }), product],
      initializers: [double],
    });
    expect(ops).to.deep.equal(['BlastMatMul']);
    const nodes = [node('MatMul', ['x', 'w'], ['y'])];
    const reason = await reasonOf({ nodes, initializers: [double] });
    expect(reason).to.include({ code: 'weight-type' });
    expect(reason?.message).to.match(/type float64; the operators compute on float32, float16, bfloat16/);
  });

  it('does not take a cast integer for a weight', async () => {
    const ints = { name: 'w', dims: [IN, OUT], dataType: 3, rawData: new Uint8Array(IN * OUT) };
    const nodes = [node('Cast', ['w'], ['v'], { to: FLOAT }), product];
    expect((await reasonOf({ nodes, initializers: [ints] }))?.code).to.equal('weight-not-constant');
  });
});

/** Small whole numbers of rank 2, times a scale for each input and output: exact in 8 bits. */
function quantized(scaleIn: (i: number) => number, scaleOut: (o: number) => number, largest = 3) {
  const whole = (count: number, seed: number) => random(count, seed).map((v) => Math.round(largest * v));
  const shape = { structure: 'low-rank', rank: 2, blocksIn: 1, blocksOut: 1, in: IN, out: OUT } as const;
  const [V, U] = [whole(2 * IN, 1), whole(2 * OUT, 2)];
  const numbers = knownFrom({ ...shape, V, U });
  const scaled = knownFrom({
    ...shape,
    V: V.map((v, at) => v * scaleIn(at % IN)),
    U: U.map((u, at) => u * scaleOut(Math.floor(at / 2))),
  });
  return { numbers, scaled };
}

function integers(
  name: string,
  type: 'int8' | 'uint8' | 'int4' | 'int32',
  dims: readonly number[],
  values: ArrayLike<number>,
) {
  const list = Array.from(values);
  const bytes =
    type === 'int4'
      ? list.filter((_, i) => i % 2 === 0).map((v, i) => (v & 15) | ((list[2 * i + 1] & 15) << 4))
      : list;
  const rawData =
    type === 'int32' ? new Uint8Array(Int32Array.from(list).buffer) : Uint8Array.from(bytes, (v) => v & 255);
  return { name, dims: [...dims], dataType: dataTypeNumber(type), rawData };
}

describe('findWeight, behind DequantizeLinear', () => {
  const perOut = (o: number) => 2 ** -((o % 5) + 1);
  const perBlock = (i: number) => 2 ** -(Math.floor(i / 10) % 3);

  async function check(
    weight: KnownWeight,
    nodes: readonly onnx.INodeProto[],
    initializers: readonly onnx.ITensorProto[],
    opset: number,
  ) {
    const { ops, names, layer } = await opsAfter({ nodes, initializers, opset, weights: { v: weight } });
    expect(ops).to.deep.equal(['LowRankMatMul']);
    expect(names).to.deep.equal(['w.V', 'w.U']);
    expect(layer.dtype).to.equal('float32');
    return layer;
  }

  const dequantize = (attributes = {}, zero: readonly string[] = []) => [
    node('DequantizeLinear', ['w', 'scale', ...zero], ['v'], attributes),
    product,
  ];

  it('reads one scale for the whole weight, without and with a zero point', async () => {
    const { numbers, scaled } = quantized(
      () => 1,
      () => 0.25,
    );
    const scale = tensor('scale', [], [0.25]);
    const plain = integers('w', 'int8', [IN, OUT], numbers.inOut);
    const layer = await check(scaled, dequantize(), [plain, scale], 10);
    expect(layer.bytes).to.equal(IN * OUT + 4);
    expect(layer.stored).to.deep.equal({ dtype: 'int8', bytes: IN * OUT + 4 });
    const shifted = integers(
      'w',
      'uint8',
      [IN, OUT],
      numbers.inOut.map((v) => v + 128),
    );
    await check(scaled, dequantize({}, ['zero']), [shifted, scale, integers('zero', 'uint8', [], [128])], 13);
  });

  for (const axis of [1, 0, -1])
    it(`reads a scale and zero point for each index of axis ${axis}`, async () => {
      const isOut = axis !== 0;
      const { numbers, scaled } = quantized(isOut ? () => 1 : perOut, isOut ? perOut : () => 1);
      const count = isOut ? OUT : IN;
      const zeros = Array.from({ length: count }, (_, i) => (i % 7) - 3);
      const values = numbers.inOut.map((v, at) => v + zeros[isOut ? at % OUT : Math.floor(at / OUT)]);
      const scale = tensor(
        'scale',
        [count],
        zeros.map((_, i) => perOut(i)),
      );
      const zero = integers('zero', 'int8', [count], zeros);
      await check(
        scaled,
        dequantize({ axis }, ['zero']),
        [integers('w', 'int8', [IN, OUT], values), scale, zero],
        13,
      );
    });

  it('reads a weight that is transposed before or after', async () => {
    const { numbers, scaled } = quantized(() => 1, perOut);
    const stored = integers('w', 'int8', [OUT, IN], numbers.outIn);
    const scale = tensor(
      'scale',
      [OUT],
      Array.from({ length: OUT }, (_, o) => perOut(o)),
    );
    const after = [
      node('DequantizeLinear', ['w', 'scale'], ['d'], { axis: 0 }),
      node('Transpose', ['d'], ['v'], { perm: [1, 0] }),
    ];
    await check(scaled, [...after, product], [stored, scale], 13);
    const before = [
      node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
      node('DequantizeLinear', ['t', 'scale'], ['v'], { axis: 1 }),
    ];
    await check(scaled, [...before, product], [stored, scale], 13);
  });

  for (const type of ['int8', 'int4'] as const)
    it(`reads blocks of ${type}, the last one shorter`, async () => {
      const { numbers, scaled } = quantized(perBlock, perOut, type === 'int4' ? 1 : 3);
      const values = numbers.inOut;
      if (type === 'int4') expect(Math.max(...values.map(Math.abs))).to.be.at.most(8);
      const rows = Math.ceil(IN / 10);
      const scale = Float32Array.from(
        { length: rows * OUT },
        (_, at) => perBlock(10 * Math.floor(at / OUT)) * perOut(at % OUT),
      );
      await check(
        scaled,
        dequantize({ axis: 0, block_size: 10 }),
        [integers('w', type, [IN, OUT], values), tensor('scale', [rows, OUT], scale)],
        21,
      );
    });

  it('adds a bias of int32 that is dequantized too', async () => {
    const { numbers, scaled } = quantized(
      () => 1,
      () => 0.25,
    );
    const nodes = [
      node('DequantizeLinear', ['w', 'scale'], ['v']),
      node('DequantizeLinear', ['b', 'scale'], ['c']),
      node('Gemm', ['x', 'v', 'c'], ['y'], {}, { floats: { beta: 2 } }),
    ];
    const { ops, layer } = await opsAfter({
      nodes,
      leading: [7],
      initializers: [
        integers('w', 'int8', [IN, OUT], numbers.inOut),
        integers(
          'b',
          'int32',
          [OUT],
          Array.from({ length: OUT }, (_, i) => 1000 * i),
        ),
        tensor('scale', [], [0.25]),
      ],
      weights: { v: scaled },
    });
    expect(layer.bias).to.equal(true);
    expect(ops).to.deep.equal(['LowRankMatMul']);
  });

  it('stays as it is unless named, and is then planned against the quantized bytes', async () => {
    const nodes = dequantize();
    const initializers = [
      integers('w', 'int8', [IN, OUT], new Uint8Array(IN * OUT)),
      tensor('scale', [], [1]),
    ];
    const info = await inspectModel(save(layerModel({ nodes, initializers })));
    const options = { minSize: 1, structure: 'low-rank', keep: 0.25 } as const;
    expect(planRewrite(info, options).layers[0]).to.have.nested.property('keep.code', 'already-quantized');
    const plan = planRewrite(info, { ...options, include: ['*'] });
    expect(plan.layers[0]).to.have.nested.property('keep.code', 'rank-does-not-shrink');
    expect(plan.layers[0])
      .to.have.nested.property('keep.message')
      .that.matches(/rank 1 of .* 0\.25 of the weight as int8/i);
    expect(() => planRewrite(info, { minSize: 1, structure: 'low-rank', rank: 4 })).to.throw(
      /868 bytes as int8; 3 is the largest/,
    );
  });

  it('keeps dense what has scales of another shape, or scales that callers may replace', async () => {
    const initializers = [
      integers('w', 'int8', [IN, OUT], new Uint8Array(IN * OUT)),
      tensor('scale', [3], [1, 1, 1]),
    ];
    expect((await reasonOf({ nodes: dequantize(), initializers }))?.code).to.equal('weight-not-constant');
    const inputs = [valueInfo('x', ['n', IN]), valueInfo('scale', [])];
    const one = [initializers[0], tensor('scale', [], [1])];
    expect((await reasonOf({ nodes: dequantize(), initializers: one, inputs }))?.code).to.equal(
      'weight-not-constant',
    );
  });
});
