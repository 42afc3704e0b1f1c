import { expect } from 'chai';
import onnxProto, { type onnx } from 'onnx-proto';
import { readFileSync } from 'node:fs';
import { decodeFloats } from '../../graph-rewriter/floats.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { B, IN, layerModel, OUT, W, weightTensor } from './helpers/layer-model.js';
import { constant, node, tensor, valueInfo } from './helpers/onnx.js';
import { random, relativeDifference } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import { knownFrom, rewriteKnown, save } from './helpers/workspace.js';

const { onnx: proto } = onnxProto;
const FLOAT = 1;
const BFLOAT16 = 16;

/** ONNX Runtime's CPU provider computes no bfloat16: the same model with every bfloat16 as float32. */
function widened(path: string): Uint8Array {
  const model = proto.ModelProto.decode(Uint8Array.from(readFileSync(path)));
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
    const fields = value as {
      dataType?: number;
      elemType?: number;
      rawData?: Uint8Array;
      name?: string;
      i?: unknown;
    };
    if (fields.dataType === BFLOAT16) {
      const numbers = new Float32Array(fields.rawData!.length / 2);
      decodeFloats(fields.rawData!.slice(), 'bfloat16', numbers, 0);
      fields.rawData = new Uint8Array(numbers.buffer);
      fields.dataType = FLOAT;
    }
    if (fields.elemType === BFLOAT16) fields.elemType = FLOAT;
    if (fields.name === 'to' && Number(fields.i) === BFLOAT16) fields.i = FLOAT;
    Object.values(value).forEach(walk);
  };
  walk(model);
  return proto.ModelProto.encode(model).finish();
}

function bf16Model(opset: number, nodes: readonly onnx.INodeProto[]) {
  return layerModel({
    nodes,
    type: 'float32',
    opset,
    inputs: [valueInfo('x', ['a', IN], 'bfloat16')],
    outputs: [valueInfo('y', ['a', OUT], 'bfloat16')],
    initializers: [weightTensor('inOut', 'w', 'bfloat16'), tensor('b', [OUT], B, 'bfloat16')],
  });
}

/** x·Φ(x) as PyTorch's exporters write it, its constants rounded. */
const geluNodes = [
  constant('root', tensor('', [], [Math.SQRT2], 'bfloat16')),
  constant('one', tensor('', [], [1], 'bfloat16')),
  constant('half', tensor('', [], [0.5], 'bfloat16')),
  node('Div', ['v', 'root'], ['d']),
  node('Erf', ['d'], ['e']),
  node('Add', ['e', 'one'], ['f']),
  node('Mul', ['v', 'f'], ['g']),
  node('Mul', ['g', 'half'], ['y']),
];
const layer = [node('MatMul', ['x', 'w'], ['p'], {}, { name: 'fc' }), node('Add', ['p', 'b'], ['v'])];
const feeds = { x: { dims: [4, IN], data: random(4 * IN, 6) } };
const rounded = 1e-2;

describe('bfloat16 models', () => {
  for (const opset of [13, 17])
    it(`are rewritten with bias and activation at opset ${opset}, and give the original's results`, async () => {
      const source = save(bf16Model(opset, [...layer, ...geluNodes]));
      const { target, report } = await rewriteKnown(
        source,
        { w: W },
        { factorType: 'bfloat16', tolerance: rounded },
      );
      expect(report.layers[0].result?.op).to.equal('BlastMatMulGelu');
      expect(report.layers[0].layer.dtype).to.equal('bfloat16');
      const [before, after] = [
        await runModel(widened(source), feeds),
        await runModel(widened(target), feeds),
      ];
      expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(rounded).and.greaterThan(0);
      const { inputs, outputs } = ioTypes(target);
      expect([inputs, outputs]).to.deep.equal([[BFLOAT16], [BFLOAT16]]);
    });

  it('keep every number where the factors are exact', async () => {
    // Small whole numbers: factors and products are exact in bfloat16.
    const whole = (count: number, seed: number) => random(count, seed).map((v) => Math.round(2 * v));
    const [V, U] = [whole(2 * IN, 1), whole(2 * OUT, 2)];
    const exact = knownFrom({
      structure: 'low-rank',
      rank: 2,
      blocksIn: 1,
      blocksOut: 1,
      in: IN,
      out: OUT,
      V,
      U,
    });
    const source = save(
      layerModel({
        nodes: [node('MatMul', ['x', 'w'], ['y'])],
        inputs: [valueInfo('x', ['a', IN], 'bfloat16')],
        outputs: [valueInfo('y', ['a', OUT], 'bfloat16')],
        initializers: [weightTensor('inOut', 'w', 'bfloat16', exact)],
      }),
    );
    const { target } = await rewriteKnown(source, { w: exact }, { factorType: 'bfloat16', tolerance: 0 });
    const [before, after] = [await runModel(widened(source), feeds), await runModel(widened(target), feeds)];
    expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
    const back = `${target}.dense.onnx`;
    await densifyModel(target, back);
    const dense = await runModel(widened(back), feeds);
    expect(relativeDifference(dense.y.data, before.y.data)).to.be.at.most(2e-6);
    expect(ioTypes(back).weights).to.deep.equal([BFLOAT16]);
  });

  it('tell the two GELUs apart by the nearer one', async () => {
    const tanh = [
      constant('c', tensor('', [], [0.044715], 'bfloat16')),
      constant('r', tensor('', [], [Math.sqrt(2 / Math.PI)], 'bfloat16')),
      constant('one', tensor('', [], [1], 'bfloat16')),
      constant('half', tensor('', [], [0.5], 'bfloat16')),
      node('Mul', ['v', 'v'], ['v2']),
      node('Mul', ['v2', 'v'], ['v3']),
      node('Mul', ['v3', 'c'], ['v4']),
      node('Add', ['v', 'v4'], ['v5']),
      node('Mul', ['v5', 'r'], ['v6']),
      node('Tanh', ['v6'], ['t']),
      node('Add', ['t', 'one'], ['t1']),
      node('Mul', ['v', 't1'], ['t2']),
      node('Mul', ['t2', 'half'], ['y']),
    ];
    for (const [nodes, activation] of [
      [geluNodes, 'gelu'],
      [tanh, 'gelu_tanh'],
    ] as const) {
      const { layers } = await inspectModel(save(bf16Model(17, [...layer, ...nodes])));
      expect(layers[0].activation).to.equal(activation);
    }
  });

  it('stay dense before opset 13, where no operator takes bfloat16', async () => {
    const info = await inspectModel(save(bf16Model(12, [node('MatMul', ['x', 'w'], ['y'])])));
    const [plan] = planRewrite(info, { minSize: 1 }).layers;
    expect(plan).to.have.nested.property('keep.code', 'weight-type');
  });
});

function ioTypes(path: string) {
  const { graph } = proto.ModelProto.decode(Uint8Array.from(readFileSync(path)));
  const types = (infos?: onnx.IValueInfoProto[] | null) =>
    infos!.map((info) => info.type!.tensorType!.elemType);
  return {
    inputs: types(graph!.input),
    outputs: types(graph!.output),
    weights: graph!.initializer!.map((t) => t.dataType).slice(-1),
  };
}
