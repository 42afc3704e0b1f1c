/** What each node refuses, when, and the words it uses. */
import { expect } from 'chai';
import * as ort from 'onnxruntime-node';
import { nodeModel, type NodeSpec } from './helpers/model.js';
import { usePlugin } from './helpers/plugin.js';
import { values, type ElementType } from './helpers/values.js';

const zeros = (dims: readonly number[], type: ElementType = 'float32') => values(type, dims, () => 0);
const X = zeros([2, 6]);
const BLAST = { X, V: zeros([4, 6]), S: zeros([2, 3, 4]), U: zeros([5, 4]) };
const MONARCH = { X, V: zeros([2, 4, 6]), U: zeros([5, 3, 4]) };
const Q_BLAST = {
  X,
  V: zeros([4, 6], 'int8'),
  VScale: zeros([3, 4], 'float16'),
  S: zeros([2, 3, 4], 'float16'),
  U: zeros([5, 4], 'int8'),
  UScale: zeros([5], 'float16'),
};
const Q_LOW_RANK = {
  X,
  V: zeros([4, 6], 'int8'),
  VScale: zeros([4]),
  U: zeros([5, 4], 'int8'),
  UScale: zeros([5]),
};
const LOW_RANK = { X, V: zeros([4, 6]), U: zeros([5, 4]) };

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it did not fail');
}

function creation(op: string, inputs: NodeSpec['inputs'], rest: Partial<NodeSpec> = {}): Promise<string> {
  const graphInputs = { X: ['n', inputs['X'].dims.at(-1)!] };
  return failure(ort.InferenceSession.create(nodeModel({ op, inputs, graphInputs, ...rest })));
}

const CASES: [string, string, NodeSpec['inputs'], NodeSpec['attributes'], string][] = [
  ['a rank that differs', 'BlastMatMul', { ...BLAST, U: zeros([5, 3]) }, {},
    'input U: expected shape [out, r] = [?, 4], every size at least 1; found [5, 3]'],
  ['a missing dimension', 'BlastMatMul', { ...BLAST, S: zeros([2, 4]) }, {},
    'input S: expected shape [b_out, b_in, r] = [?, ?, 4] (3 dimensions), every size at least 1; found [2, 4]'],
  ['an empty factor', 'LowRankMatMul', { ...LOW_RANK, V: zeros([0, 6]) }, {},
    'input V: expected shape [r, in] = [?, ?], every size at least 1; found [0, 6]'],
  ['block counts that leave a block of columns empty', 'BlastMatMul', { ...BLAST, S: zeros([2, 4, 4]) }, {},
    'b_in = 4 blocks do not fit in = 6: with blocks of 2 the last one would be empty'],
  ['block counts that leave a block of rows empty', 'MonarchMatMul', { ...MONARCH, V: zeros([4, 4, 6]) }, {},
    'b_out = 4 blocks do not fit out = 5: with blocks of 2 the last one would be empty'],
  ['Monarch factors that disagree', 'MonarchMatMul', { ...MONARCH, U: zeros([5, 3, 2]) }, {},
    'input U: expected shape [out, b_in, r] = [?, ?, 4], every size at least 1; found [5, 3, 2]'],
  ['an X of another width', 'LowRankMatMul', { ...LOW_RANK, X: zeros([2, 7]) }, {},
    'input X: expected a last dimension of 6 (as in the factor V), found shape [?, 7]'],
  ['a bias of another length', 'LowRankMatMul', { ...LOW_RANK, B: zeros([4]) }, {},
    'input B: expected shape [out] = [5] or [1], found [4]'],
  ['a bias of another type', 'LowRankMatMul', { ...LOW_RANK, B: zeros([5], 'float16') }, {},
    "input B: expected float32 (X's type), found float16"],
  ['factors of different types', 'BlastMatMul', { ...BLAST, S: zeros([2, 3, 4], 'bfloat16') }, {},
    "input S: expected float32 (V's type), found bfloat16"],
  ['an unknown activation', 'LowRankMatMul', LOW_RANK, { activation: 'tanh' },
    "attribute activation: expected one of 'none', 'relu', 'gelu', 'gelu_tanh', 'silu', found 'tanh'"],
  ['an activation that is a number', 'LowRankMatMul', LOW_RANK, { activation: 1 },
    "attribute activation: expected one of 'none', 'relu', 'gelu', 'gelu_tanh', 'silu', found '(integer 1)'"],
  ['an activation that is a list', 'LowRankMatMul', LOW_RANK, { activation: [1, 2] },
    "attribute activation: expected one of 'none', 'relu', 'gelu', 'gelu_tanh', 'silu', found '(list of 2 integers)'"],
  ['an activation that its name contradicts', 'LowRankMatMulGelu', LOW_RANK, { activation: 'relu' },
    "attribute activation: expected 'gelu' (the operator's name implies it), found 'relu'"],
  ['an unknown output order', 'MonarchMatMul', MONARCH, { output_order: 'shuffled' },
    "attribute output_order: expected 'contiguous' or 'interleaved', found 'shuffled'"],
  ['an output order that its name contradicts', 'MonarchMatMulInterleaved', MONARCH, { output_order: 'contiguous' },
    "attribute output_order: expected 'interleaved' (the operator's name implies it), found 'contiguous'"],
  ['float factors of an operator with int8 ones', 'QLowRankMatMul', { ...Q_LOW_RANK, V: zeros([4, 6]) }, {},
    'input V: expected int8, found float32'],
  ['int8 factors without scales', 'LowRankMatMul', { ...LOW_RANK, V: zeros([4, 6], 'int8') }, {},
    'input V: expected float32, float16 or bfloat16, found int8'],
  ['a U that is not int8', 'QBlastMatMul', { ...Q_BLAST, U: zeros([5, 4], 'float16') }, {},
    "input U: expected int8 (V's type), found float16"],
  ['scales of another type', 'QBlastMatMul', { ...Q_BLAST, UScale: zeros([5]) }, {},
    "input UScale: expected float16 (VScale's type), found float32"],
  ['bfloat16 scales', 'QBlastMatMul', { ...Q_BLAST, VScale: zeros([3, 4], 'bfloat16') }, {},
    'input VScale: expected float32 or float16, found bfloat16'],
  ['an S of another type than the scales', 'QBlastMatMul', { ...Q_BLAST, S: zeros([2, 3, 4]) }, {},
    "input S: expected float16 (VScale's type), found float32"],
  ['scales of another shape', 'QBlastMatMul', { ...Q_BLAST, VScale: zeros([4], 'float16') }, {},
    'input VScale: expected shape [b_in, r] = [?, 4] (2 dimensions), every size at least 1; found [4]'],
  ['a scale too few', 'QLowRankMatMul', { ...Q_LOW_RANK, UScale: zeros([4]) }, {},
    'input UScale: expected shape [out] = [5], every size at least 1; found [4]'],
  ['int8 products of float factors', 'BlastMatMul', BLAST, { compute: 'int8' },
    "attribute compute: expected 'float' or 'bfloat16', found 'int8'"],
  ['bfloat16 products of int8 factors', 'QBlastMatMul', Q_BLAST, { compute: 'bfloat16' },
    "attribute compute: expected 'float' or 'int8', found 'bfloat16'"],
]; // prettier-ignore

describe('a node at session creation', () => {
  usePlugin();

  for (const [what, op, inputs, attributes, message] of CASES) {
    it(`refuses ${what}`, async () => {
      const text = await creation(op, inputs, { attributes: attributes ?? {}, name: 'fc1' });
      expect(text).to.include(`blockrank: node 'fc1' (${op}): ${message}`);
    });
  }

  it('leaves the type of X to ONNX Runtime, which names the node', async () => {
    const bfloat16 = zeros([2, 6], 'bfloat16');
    const text = await creation('LowRankMatMul', { ...LOW_RANK, X: bfloat16 }, { name: 'fc1' });
    expect(text).to.match(/(tensor\(bfloat16\)|not find an implementation).*LowRankMatMul.*fc1/);
  });

  for (const [op, inputs] of [
    ['BlastMatMul', BLAST],
    ['QBlastMatMul', Q_BLAST],
    ['QLowRankMatMul', Q_LOW_RANK],
  ] as const)
    it(`infers the shape of ${op}'s Y, symbolic dimensions included`, async () => {
      const graphInputs = { X: ['batch', 7, 6] };
      const session = await ort.InferenceSession.create(nodeModel({ op, inputs, graphInputs }));
      const [y] = session.outputMetadata;
      expect(y.isTensor && y.shape).to.deep.equal(['batch', 7, 5]);
      await session.release();
    });
});

describe('a node at run time', () => {
  usePlugin();

  const run = async (graphInputs: NodeSpec['graphInputs'], feeds: Record<string, readonly number[]>) => {
    const model = nodeModel({ op: 'LowRankMatMul', inputs: LOW_RANK, graphInputs, name: 'fc1' });
    const session = await ort.InferenceSession.create(model);
    const tensors = Object.entries(feeds).map(([name, dims]) => {
      return [name, new ort.Tensor('float32', new Float32Array(dims.reduce((a, b) => a * b, 1)), dims)];
    });
    return failure(session.run(Object.fromEntries(tensors) as Record<string, ort.Tensor>));
  };

  it('refuses an X whose width was not known before', async () => {
    expect(await run({ X: ['n', 'k'] }, { X: [2, 5] })).to.include(
      "blockrank: node 'fc1' (LowRankMatMul): input X: expected a last dimension of 6 (as in the factor V), found shape [2, 5]",
    );
  });

  it('refuses a scalar X', async () => {
    expect(await run({ X: null }, { X: [] })).to.include(
      'input X: expected at least one dimension, found a scalar',
    );
  });

  it('refuses computed factors that do not fit', async () => {
    expect(await run({ X: ['n', 6], V: null }, { X: [2, 6], V: [3, 6] })).to.include(
      'input U: expected shape [out, r] = [?, 3], every size at least 1; found [5, 4]',
    );
  });
});
