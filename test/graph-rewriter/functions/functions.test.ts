import { expect } from 'chai';
import { type Factors, type Structure, STRUCTURES } from '../../../graph-rewriter/factorize/types.js';
import { dequantize, quantize } from '../../../graph-rewriter/factorize/int8/index.js';
import { portableFunction } from '../../../graph-rewriter/functions/index.js';
import { dataTypeNumber } from '../../../graph-rewriter/schema.js';
import { storedFactors as store } from '../../../graph-rewriter/stored-factors.js';
import { operatorName } from '../../../graph-rewriter/operator-name.js';
import { BFLOAT16_OPSET } from '../../../graph-rewriter/check-plan.js';
import {
  type Activation,
  ACTIVATIONS,
  FACTOR_TYPES,
  type FactorType,
} from '../../../graph-rewriter/types.js';
import type { onnx } from 'onnx-proto';
import { encodeModel, node, tensor, valueInfo } from '../helpers/onnx.js';
import {
  denseProduct,
  denseWeight,
  random,
  randomFactors,
  relativeDifference,
} from '../helpers/reference.js';
import { runModel } from '../helpers/run.js';

interface Case {
  readonly structure: Structure;
  readonly opset: number;
  readonly activation?: Activation;
  readonly interleaved?: boolean;
  readonly bias?: 'none' | 'row' | 'one';
  readonly in?: number;
  readonly out?: number;
  readonly rank?: number;
  readonly blocks?: readonly [number, number];
  readonly leading?: readonly number[];
  readonly type?: 'float32' | 'float16';
  readonly factorType?: FactorType;
  readonly compute?: string;
}

/** As tensors of the operator's inputs. */
function storedFactors(factors: Factors, type: FactorType): onnx.ITensorProto[] {
  return store('test', { factors }, type, 1).map(({ name, dims, type, bytes }) => ({
    name,
    dims: [...dims],
    dataType: dataTypeNumber(type),
    rawData: bytes.slice(),
  }));
}

/** One node, its function, and factors as initializers; X of shape [leading…, in]. */
async function check(options: Case): Promise<void> {
  const c = {
    activation: 'none',
    interleaved: false,
    bias: 'row',
    in: 12,
    out: 20,
    rank: 3,
    blocks: [3, 4],
    leading: [2, 5],
    type: 'float32',
    ...options,
  } as Required<Case>;
  const factorType = options.factorType ?? c.type;
  const [blocksIn, blocksOut] = c.structure === 'low-rank' ? [1, 1] : c.blocks;
  const ragged = c.in % blocksIn !== 0 || c.out % blocksOut !== 0;
  const given: Factors = randomFactors(
    { structure: c.structure, rank: c.rank, blocksIn, blocksOut, in: c.in, out: c.out },
    7,
  );
  const int8 = factorType === 'int8';
  const stored = storedFactors(given, factorType);
  const f = int8 ? dequantize(quantize(given)) : given;
  const bias = c.bias === 'none' ? undefined : random(c.bias === 'one' ? 1 : c.out, 11);
  const name = operatorName(c.structure, c.activation, c.interleaved, int8);
  const spec = {
    structure: c.structure,
    activation: c.activation,
    interleaved: c.interleaved,
    bias: bias !== undefined,
    ragged,
    castFactors: factorType !== c.type,
    int8,
    compute: c.compute !== undefined,
    type: c.type,
  };
  const model = encodeModel({
    opset: c.opset,
    domains: ['ai.blockrank'],
    functions: [portableFunction(spec, c.opset)],
    nodes: [
      node(
        name,
        ['x', ...stored.map((t) => t.name!), ...(bias ? ['B'] : [])],
        ['y'],
        c.compute === undefined ? {} : { compute: c.compute },
        { domain: 'ai.blockrank' },
      ),
    ],
    inputs: [valueInfo('x', [...c.leading.map((_, i) => `d${i}`), c.in], c.type)],
    outputs: [valueInfo('y', [...c.leading.map((_, i) => `d${i}`), c.out], c.type)],
    initializers: [...stored, ...(bias ? [tensor('B', [bias.length], bias, c.type)] : [])],
  });
  const x = random(
    c.leading.reduce((a, b) => a * b, c.in),
    3,
  );
  const { y } = await runModel(model, { x: { dims: [...c.leading, c.in], data: x, type: c.type } });
  expect(y.dims).to.deep.equal([...c.leading, c.out]);
  const expected = denseProduct(
    x,
    denseWeight(f, c.interleaved),
    { in: c.in, out: c.out },
    bias,
    c.activation,
  );
  const tolerance =
    c.type === 'float16' || factorType === 'float16' ? 5e-3 : factorType === 'bfloat16' ? 2e-2 : 2e-6;
  expect(relativeDifference(y.data, expected), JSON.stringify(options)).to.be.at.most(tolerance);
}

describe('portableFunction', () => {
  for (const structure of STRUCTURES)
    for (const opset of [7, 9, 10, 11, 13, 14, 15, 17, 20, 21]) {
      it(`computes ${structure} at opset ${opset}`, () => check({ structure, opset }));
      it(`takes any leading sizes for ${structure} at opset ${opset}`, async () => {
        for (const leading of [[], [1], [0], [1, 0], [0, 3], [2, 0, 3], [2, 1, 2, 3]])
          await check({ structure, opset, leading });
      });
    }

  for (const structure of STRUCTURES)
    for (const opset of [9, 13, 17, 20])
      for (const activation of ACTIVATIONS)
        it(`ends ${structure} with ${activation} at opset ${opset}`, async () => {
          await check({ structure, opset, activation });
          await check({ structure, opset, activation, type: 'float16', bias: 'none' });
        });

  for (const opset of [11, 13, 17, 20])
    for (const structure of ['blast', 'monarch'] as const)
      it(`cuts ${structure} into blocks that do not divide the sizes at opset ${opset}`, async () => {
        for (const [inputs, outputs, blocks] of [
          [13, 20, [3, 4]],
          [12, 19, [3, 4]],
          [17, 23, [4, 5]],
          [5, 5, [3, 3]],
          [7, 1, [4, 1]],
          [1, 7, [1, 4]],
        ] as const)
          for (const leading of [[3], [1, 0]])
            await check({ structure, opset, in: inputs, out: outputs, blocks, leading });
        await check({ structure, opset, in: 13, out: 19, type: 'float16', activation: 'gelu' });
      });

  for (const opset of [9, 13, 17, 20])
    it(`puts Monarch's blocks in interleaved order at opset ${opset}`, async () => {
      await check({ structure: 'monarch', opset, interleaved: true, activation: 'relu' });
      if (opset >= 11) await check({ structure: 'monarch', opset, interleaved: true, in: 13, out: 19 });
    });

  for (const structure of STRUCTURES)
    it(`takes factors of ${structure} in other types than X`, async () => {
      for (const opset of [9, 13, 17])
        for (const type of ['float32', 'float16'] as const)
          for (const factorType of FACTOR_TYPES.filter((t) => t !== 'bfloat16' || opset >= BFLOAT16_OPSET))
            await check({ structure, opset, type, factorType, activation: 'silu' });
    });

  for (const structure of STRUCTURES)
    for (const opset of [7, 9, 10, 11, 13, 15, 17, 20, 21])
      it(`dequantizes int8 factors of ${structure} at opset ${opset}`, async () => {
        for (const type of ['float32', 'float16'] as const)
          for (const leading of [[2, 5], [0]])
            await check({ structure, opset, type, leading, factorType: 'int8', activation: 'relu' });
        if (opset >= 11) await check({ structure, opset, in: 13, out: 19, factorType: 'int8' });
      });

  it("dequantizes int8 factors of Monarch's interleaved order", async () => {
    await check({ structure: 'monarch', opset: 17, interleaved: true, factorType: 'int8' });
    await check({ structure: 'monarch', opset: 17, interleaved: true, factorType: 'int8', in: 13, out: 19 });
  });

  it('takes the attribute compute and computes in floats', async () => {
    await check({ structure: 'blast', opset: 17, factorType: 'int8', compute: 'int8' });
    await check({ structure: 'low-rank', opset: 9, compute: 'bfloat16' });
  });

  for (const structure of STRUCTURES)
    it(`adds no bias, a row, or one number to ${structure}`, async () => {
      for (const bias of ['none', 'row', 'one'] as const) await check({ structure, opset: 13, bias });
    });

  for (const structure of STRUCTURES)
    it(`handles one feature, one block and rank 1 in ${structure}`, async () => {
      await check({ structure, opset: 17, in: 1, out: 1, rank: 1, blocks: [1, 1] });
      await check({ structure, opset: 17, in: 7, out: 11, rank: 1, blocks: [7, 11] });
      await check({ structure, opset: 9, in: 31, out: 16, rank: 5, blocks: [1, 16], leading: [17] });
    });
});
