import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import type { LayerInfo, ReasonCode } from '../../../graph-rewriter/types.js';
import { IN, layerModel, OUT } from '../helpers/layer-model.js';
import { constant, int64s, node, tensor, valueInfo } from '../helpers/onnx.js';
import { random } from '../helpers/reference.js';
import { save } from '../helpers/workspace.js';
import { B, blastModel, blastNodes, INITIALIZERS, R } from './blast-model.js';

async function layers(bytes: Uint8Array): Promise<readonly LayerInfo[]> {
  return (await inspectModel(save(bytes))).layers;
}

async function expectMiss(bytes: Uint8Array, code: ReasonCode, words: RegExp): Promise<void> {
  const all = await layers(bytes);
  expect(all.filter(({ factorized }) => factorized !== undefined)).to.deep.equal([]);
  const misses = all.flatMap(({ nearMiss }) => nearMiss ?? []);
  expect(misses).to.have.length(1);
  expect(misses[0].code).to.equal(code);
  expect(misses[0].message).to.match(words);
}

describe('Near misses', () => {
  const a = tensor('a', [IN, 3], random(3 * IN, 4));
  const b = tensor('b', [3, OUT], random(3 * OUT, 5));
  const down = node('MatMul', ['x', 'a'], ['h'], {}, { name: 'down' });
  const up = node('MatMul', ['h', 'b'], ['y'], {}, { name: 'up' });
  const output = (name: string, size: number | string) => valueInfo(name, ['d0', size]);
  const s = (dims: number[]) =>
    tensor(
      's',
      dims,
      random(
        dims.reduce((p, d) => p * d, 1),
        8,
      ),
    );
  const withS = (dims: number[]) => INITIALIZERS.map((each) => (each.name === 's' ? s(dims) : each));
  const changed = (name: string, values: number[]) =>
    INITIALIZERS.map((each) => (each.name === name ? int64s(name, values) : each));

  it('starts from graphs that are recognised', async () => {
    expect((await layers(blastModel()))[0].factorized?.spec.structure).to.equal('blast');
    const [pair] = await layers(layerModel({ leading: [7], nodes: [down, up], initializers: [a, b] }));
    expect(pair.factorized?.spec.structure).to.equal('low-rank');
  });

  const misses: Record<string, readonly [Uint8Array, ReasonCode, RegExp]> = {
    'a middle that is an output': [
      layerModel({
        leading: [7],
        nodes: [down, up],
        initializers: [a, b],
        outputs: [output('y', OUT), output('h', 3)],
      }),
      'factors-read-elsewhere',
      /low-rank of rank 3, but 'h' .* the outputs of the graph/,
    ],
    'a middle that another node reads': [
      blastModel({
        nodes: [...blastNodes(), node('Relu', ['z'], ['more'], {}, { name: 'relu' })],
        outputs: [output('y', OUT), valueInfo('more', [B, 'n', R])],
      }),
      'factors-read-elsewhere',
      /blast of rank 3, but 'z' .* Relu 'relu'/,
    ],
    'an activation in the middle of a pair': [
      layerModel({
        leading: [7],
        nodes: [
          down,
          node('Tanh', ['h'], ['g'], {}, { name: 'tanh' }),
          node('MatMul', ['g', 'b'], ['y'], {}, { name: 'up' }),
        ],
        initializers: [a, b],
      }),
      'factors-not-adjacent',
      /MatMul 'down' and MatMul 'up' have a middle of 3, but Tanh 'tanh'/,
    ],
    'an activation between blocks': [
      blastModel({
        nodes: blastNodes({
          spread: [
            node('Tanh', ['t'], ['t0'], {}, { name: 'tanh' }),
            node('Unsqueeze', ['t0', 'zero'], ['t1']),
          ],
        }),
      }),
      'factors-not-adjacent',
      /Tanh 'tanh'/,
    ],
    'a factor that is computed': [
      blastModel({
        nodes: blastNodes({
          couple: [
            node('Sigmoid', ['s'], ['gate']),
            node('Mul', ['t1', 'gate'], ['t2'], {}, { name: 'couple' }),
          ],
        }),
      }),
      'factor-not-constant',
      /Mul 'couple'/,
    ],
    'a factor that callers may replace': [
      blastModel({ inputs: [valueInfo('x', ['d0', IN]), valueInfo('s', [B, B, 1, R])] }),
      'factor-not-constant',
      /Mul 'couple'/,
    ],
    'an S without the rank': [
      blastModel({ initializers: withS([B, B, 1, 1]) }),
      'factors-unlike-operator',
      /one number for each rank/,
    ],
    'a sum over the output blocks': [
      blastModel({ nodes: blastNodes({ sum: [node('ReduceSum', ['t2', 'zero'], ['z'], { keepdims: 0 })] }) }),
      'factors-unlike-operator',
      /one block of its input alone/,
    ],
    'interleaved output blocks': [
      blastModel({
        nodes: blastNodes({
          join: [
            node('Transpose', ['rows'], ['tokens'], { perm: [1, 2, 0] }),
            node('Reshape', ['tokens', 'join'], ['y']),
          ],
        }),
      }),
      'factor-order',
      /blocks of its output are not contiguous/,
    ],
    'interleaved input blocks': [
      blastModel({
        initializers: changed('cut', [-1, IN / B, B]),
        nodes: blastNodes({
          cut: [
            node('Reshape', ['x', 'cut'], ['cutX']),
            node('Transpose', ['cutX'], ['blocks'], { perm: [2, 0, 1] }),
          ],
        }),
      }),
      'factor-order',
      /blocks of its input are not contiguous/,
    ],
    'a regrouping that cuts across the blocks': [
      blastModel({
        initializers: [...INITIALIZERS, int64s('regroup', [6, -1, 2])],
        nodes: blastNodes({
          spread: [
            node('Reshape', ['t', 'regroup'], ['t0'], {}, { name: 'regroup' }),
            node('Reshape', ['t0', 'back'], ['tb']),
            node('Unsqueeze', ['tb', 'zero'], ['t1']),
          ],
        }).concat(constant('back', int64s('', [B, -1, R]))),
      }),
      'factor-order',
      /Reshape 'regroup' regroups/,
    ],
    'an x of which no shape is declared': [
      blastModel({ inputs: [{ name: 'x', type: { tensorType: { elemType: 1 } } }] }),
      'shape-unknown',
      /'blocks'/,
    ],
  };
  for (const [what, [bytes, code, words]] of Object.entries(misses))
    it(`says of ${what} why it is not recognised`, () => expectMiss(bytes, code, words));

  const silent: Record<string, readonly onnx.INodeProto[]> = {
    'a pair with a wide middle': [node('MatMul', ['x', 'wide'], ['h']), node('MatMul', ['h', 'out'], ['y'])],
    'a wide layer, an activation and another': [
      node('MatMul', ['x', 'wide'], ['h']),
      node('Relu', ['h'], ['g']),
      node('MatMul', ['g', 'out'], ['y']),
    ],
  };
  for (const [what, nodes] of Object.entries(silent))
    it(`says nothing of ${what}`, async () => {
      const initializers = [
        tensor('wide', [IN, 40], random(40 * IN, 6)),
        tensor('out', [40, OUT], random(40 * OUT, 7)),
      ];
      const all = await layers(layerModel({ leading: [7], nodes, initializers }));
      expect(all).to.have.length(2);
      for (const layer of all) expect(layer).to.not.have.any.keys('factorized', 'nearMiss');
    });
});
