import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { onnx as Onnx } from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import { collectCovariances, type Feeds, inputKey } from '../../graph-rewriter/calibration/index.js';
import { withTaps } from '../../graph-rewriter/calibration/tapped-model.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { openModel } from '../../graph-rewriter/inline/index.js';
import type { LayerInfo } from '../../graph-rewriter/types.js';
import { flatten } from '../graph-rewriter/helpers/unknown-fields.js';
import { branch, constant, DataType, encodeModel, floats, integers, loop, op, value } from './tiny-model.js';

const IN = 5;
const OUT = 3;
const random = randomNormal(12);
const weight = (name: string) => floats(name, [IN, OUT], Array.from({ length: IN * OUT }, random));
const { FLOAT, INT64, BOOL } = DataType;

type Row = readonly number[];

function tensor(rows: readonly Row[], dims = [rows.length, IN]): ort.Tensor {
  return new ort.Tensor('float32', Float32Array.from(rows.flat()), dims);
}

const rowsOf = (count: number): Row[] =>
  Array.from({ length: count }, () => Array.from({ length: IN }, () => Math.fround(random())));
const flag = (yes: boolean) => new ort.Tensor('bool', [yes], []);
const times = (count: number) => new ort.Tensor('int64', [BigInt(count)], []);

/** E[x xᵀ] by plain loops in double. */
function covariance(rows: readonly Row[]): number[] {
  const sum = Array.from({ length: IN * IN }, () => 0);
  for (const row of rows)
    for (let a = 0; a < IN; a++) for (let c = 0; c < IN; c++) sum[a * IN + c] += row[a] * row[c];
  return sum.map((total) => total / rows.length);
}

function difference(actual: ArrayLike<number>, expected: readonly number[]): number {
  expect(actual.length).to.equal(expected.length);
  const peak = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((entry, at) => Math.abs(actual[at] - entry))) / peak;
}

const scaled = (rows: readonly Row[], by: number) => rows.map((row) => row.map((entry) => entry * by));

/** A product of `from` with W, under a name of its own. */
const product = (from: string, name: string) => ({ ...op('MatMul', [from, 'W'], [`${name}.y`]), name });

/** Doubles or negates h, under one name in both branches, and takes two products of it and one of what it captures. */
function half(kind: 'twice' | 'negated'): Onnx.IGraphProto {
  return {
    name: kind,
    node: [
      kind === 'twice' ? op('Add', ['x', 'x'], ['h']) : op('Neg', ['x'], ['h']),
      product('h', `${kind}.q`),
      product('h', `${kind}.k`),
      product('x', `${kind}.x`),
      op('Sum', [`${kind}.q.y`, `${kind}.k.y`, `${kind}.x.y`], [`${kind}.sum`]),
    ],
    output: [value(`${kind}.sum`, FLOAT)],
  };
}

/** The branches of `half`, by `flag`. */
const choice: Onnx.IGraphProto = {
  node: [{ ...branch('flag', 'y', half('twice'), half('negated')), name: 'if' }],
  input: [value('x', FLOAT, ['n', IN]), value('flag', BOOL, [])],
  output: [value('y', FLOAT)],
  initializer: [weight('W')],
};

/** A Loop that puts the state above a growing cache, and multiplies the cache; in even iterations also the state. */
const growing: Onnx.IGraphProto = {
  node: [
    {
      ...loop('Loop', ['times', '', 'x', 'x'], ['state', 'cache', 'each'], {
        name: 'body',
        node: [
          op('Identity', ['go'], ['on']),
          op('Add', ['before', 'before'], ['after']),
          op('Concat', ['above', 'after'], ['below'], [{ name: 'axis', type: 2, i: 0 }]),
          product('below', 'cached'),
          constant('two', integers('', [], [2])),
          constant('zero', integers('', [], [0])),
          op('Mod', ['i', 'two'], ['odd']),
          op('Equal', ['odd', 'zero'], ['even']),
          {
            ...branch(
              'even',
              'chosen',
              {
                name: 'yes',
                node: [op('Neg', ['after'], ['h']), product('h', 'inner')],
                output: [value('inner.y', FLOAT)],
              },
              {
                name: 'no',
                node: [op('MatMul', ['after', 'W'], ['outer.y'])],
                output: [value('outer.y', FLOAT)],
              },
            ),
            name: 'if',
          },
          op('ReduceSum', ['cached.y'], ['each'], [{ name: 'keepdims', type: 2, i: 0 }]),
        ],
        input: [value('i', INT64, []), value('go', BOOL, []), value('before', FLOAT), value('above', FLOAT)],
        output: [value('on', BOOL), value('after', FLOAT), value('below', FLOAT), value('each', FLOAT)],
      }),
      name: 'loop',
    },
    op('ReduceSum', ['cache'], ['total'], [{ name: 'keepdims', type: 2, i: 0 }]),
  ],
  input: [value('x', FLOAT, ['n', IN]), value('times', INT64, [])],
  output: [value('state', FLOAT), value('total', FLOAT), value('each', FLOAT)],
  initializer: [weight('W')],
};

/** A Scan over the first axis of x [steps, rows, IN] with a running sum; what the body calls x is a step of it. */
const scanning: Onnx.IGraphProto = {
  node: [
    {
      ...loop(
        'Scan',
        ['start', 'x'],
        ['sum', 'y'],
        {
          name: 'body',
          node: [
            op('Add', ['before', 'step'], ['after']),
            product('after', 'summed'),
            product('step', 'now'),
          ],
          input: [value('before', FLOAT, ['r', IN]), value('step', FLOAT, ['r', IN])],
          output: [value('after', FLOAT), value('now.y', FLOAT)],
        },
        { num_scan_inputs: 1 },
      ),
      name: 'scan',
    },
  ],
  input: [value('start', FLOAT, ['r', IN]), value('x', FLOAT, ['s', 'r', IN])],
  output: [value('sum', FLOAT), value('y', FLOAT)],
  initializer: [weight('W')],
};

describe('collectCovariances, in bodies of control flow', () => {
  let folder: string;
  let modelPath: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blockrank-calibration-'));
    modelPath = join(folder, 'model.onnx');
  });
  after(() => rm(folder, { recursive: true }));

  /** By id of the layer: samples and C. */
  async function collect(graph: Onnx.IGraphProto, opset: number, inputs: readonly Feeds[]) {
    await writeFile(modelPath, encodeModel(graph, opset));
    const { layers } = await inspectModel(modelPath);
    const found = await collectCovariances({ modelPath, tensors: layers, inputs, mask: false });
    return new Map(layers.map((layer) => [layer.id, found.get(inputKey(layer))!]));
  }

  type Found = Awaited<ReturnType<typeof collect>>;

  function expectRows(found: Found, layer: string, rows: readonly Row[]): void {
    expect(found.get(layer), layer).to.include({ samples: rows.length, size: rows.length > 0 ? IN : 0 });
    if (rows.length > 0)
      expect(difference(found.get(layer)!.matrix, covariance(rows)), layer).to.be.below(1e-6);
  }

  for (const opset of [7, 9, 13, 21]) {
    it(`takes the rows of each branch of an If from the runs that took it, at opset ${opset}`, async () => {
      const batches = [4, 1, 7, 3].map((count, i) => ({ rows: rowsOf(count), yes: i % 2 === 0 }));
      const inputs = batches.map(({ rows, yes }) => ({ x: tensor(rows), flag: flag(yes) }));
      const found = await collect(choice, opset, inputs);
      const taken = (yes: boolean) => batches.flatMap((batch) => (batch.yes === yes ? batch.rows : []));
      for (const [body, kind, yes, by] of [
        ['if/0/', 'twice', true, 2],
        ['if/1/', 'negated', false, -1],
      ] as const) {
        for (const layer of ['q', 'k']) expectRows(found, `${body}${kind}.${layer}`, scaled(taken(yes), by));
        expectRows(found, `${body}${kind}.x`, taken(yes));
      }
      const all = covariance(batches.flatMap(({ rows }) => rows));
      expect(difference(found.get('if/0/twice.x')!.matrix, all)).to.be.above(1e-2);
    });
  }

  it('says that a branch that no run took saw nothing', async () => {
    const rows = rowsOf(6);
    const found = await collect(choice, 13, [{ x: tensor(rows), flag: flag(false) }]);
    for (const layer of ['q', 'k', 'x']) expectRows(found, `if/0/twice.${layer}`, []);
    expectRows(found, 'if/1/negated.x', rows);
  });

  for (const opset of [11, 13, 21])
    it(`adds up the iterations of a Loop whose tensors grow, and of an If in it, at opset ${opset}`, async () => {
      const cached: Row[] = [];
      const inner: Row[] = [];
      const runs = [
        { rows: rowsOf(3), count: 4 },
        { rows: rowsOf(2), count: 0 },
        { rows: rowsOf(1), count: 1 },
      ];
      for (const { rows, count } of runs) {
        let state = rows;
        let cache = rows;
        for (let i = 0; i < count; i++) {
          state = scaled(state, 2);
          cache = [...cache, ...state];
          cached.push(...cache);
          if (i % 2 === 0) inner.push(...scaled(state, -1));
        }
      }
      const inputs = runs.map(({ rows, count }) => ({ x: tensor(rows), times: times(count) }));
      const found = await collect(growing, opset, inputs);
      expectRows(found, 'loop/0/cached', cached);
      expectRows(found, 'loop/0/if/0/inner', inner);
      const never = await collect(growing, 11, [inputs[1]]);
      expectRows(never, 'loop/0/cached', []);
    });

  it('gives states to a Loop that has none, and leaves its condition out', async () => {
    const body = {
      name: 'body',
      node: [op('Identity', ['go'], ['on']), op('Neg', ['x'], ['h']), product('h', 'inner')],
      input: [value('i', INT64, []), value('go', BOOL, [])],
      output: [value('on', BOOL), value('inner.y', FLOAT)],
    };
    const graph = {
      ...growing,
      node: [{ ...loop('Loop', ['times'], ['each'], body), name: 'loop' }],
      output: [value('each', FLOAT)],
    };
    const rows = rowsOf(2);
    const found = await collect(graph, 16, [{ x: tensor(rows), times: times(3) }]);
    expectRows(found, 'loop/0/inner', [...rows, ...rows, ...rows]);
  });

  for (const opset of [9, 16, 21])
    it(`adds up the iterations of a Scan, at opset ${opset}`, async () => {
      const [steps, count] = [6, 2];
      const runs = [1, 2].map(() => ({ start: rowsOf(count), x: rowsOf(steps * count) }));
      const summed = runs.flatMap(({ start, x }) => {
        let state = start;
        return Array.from({ length: steps }, (_, s) => {
          state = state.map((row, r) => row.map((entry, f) => entry + x[s * count + r][f]));
          return state;
        }).flat();
      });
      const inputs = runs.map(({ start, x }) => ({ start: tensor(start), x: tensor(x, [steps, count, IN]) }));
      const found = await collect(scanning, opset, inputs);
      expectRows(found, 'scan/0/summed', summed);
      expectRows(
        found,
        'scan/0/now',
        runs.flatMap(({ x }) => x),
      );
    });

  it('leaves out the rows that a mask of the main graph marks', async () => {
    const graph = { ...choice, input: [...choice.input!, value('attention_mask', INT64, ['n'])] };
    await writeFile(modelPath, encodeModel(graph, 13));
    const { layers } = await inspectModel(modelPath);
    const [kept, dropped] = [rowsOf(2), Array.from({ length: 3 }, () => Array<number>(IN).fill(NaN))];
    const attention_mask = new ort.Tensor('int64', [1n, 1n, 0n, 0n, 0n], [5]);
    const inputs = [{ x: tensor([...kept, ...dropped]), flag: flag(true), attention_mask }];
    const found = await collectCovariances({ modelPath, tensors: layers, inputs });
    const of = (id: string) => found.get(inputKey(layers.find((layer) => layer.id === id)!))!;
    expect(of('if/0/twice.q').samples).to.equal(2);
    expect(difference(of('if/0/twice.q').matrix, covariance(scaled(kept, 2)))).to.be.below(1e-6);
    expect(of('if/1/negated.q').samples).to.equal(0);
  });

  it('leaves what the model computes as it is', async () => {
    const rows = rowsOf(4);
    for (const [graph, opset, feeds] of [
      [choice, 13, { x: tensor(rows), flag: flag(true) }],
      [growing, 11, { x: tensor(rows), times: times(3) }],
      [scanning, 16, { start: tensor(rows.slice(2)), x: tensor(rows, [2, 2, IN]) }],
    ] as const) {
      await writeFile(modelPath, encodeModel(graph, opset));
      const { layers } = await inspectModel(modelPath);
      const original = await (await ort.InferenceSession.create(modelPath)).run(feeds);
      const tapped = await (await ort.InferenceSession.create(tappedBytes(modelPath, layers))).run(feeds);
      for (const [name, { data, dims }] of Object.entries(original)) {
        expect(tapped[name].dims).to.deep.equal(dims);
        expect(tapped[name].data, name).to.deep.equal(data);
      }
    }
  });

  it('tells bodies apart whose nodes have no names, or names that read like paths', async () => {
    const inner = {
      name: 'outer',
      node: [{ ...branch('flag', 'inner.y', half('twice'), half('negated')), name: 'b' }],
      output: [value('inner.y', FLOAT)],
    };
    const other = { name: 'other', node: [op('MatMul', ['x', 'W'], ['o'])], output: [value('o', FLOAT)] };
    const rows = rowsOf(3);
    for (const names of [
      ['', ''],
      ['a', 'a/0/b'],
    ]) {
      const graph = {
        ...choice,
        node: [
          { ...branch('flag', 'y', inner, other), name: names[0] },
          { ...branch('flag', 'z', half('negated'), half('twice')), name: names[1] },
        ],
        output: [...choice.output!, value('z', FLOAT)],
      };
      await writeFile(modelPath, encodeModel(graph, 13));
      const { layers } = await inspectModel(modelPath);
      const inputs = [{ x: tensor(rows), flag: flag(true) }];
      const found = await collectCovariances({ modelPath, tensors: layers, inputs });
      const samples = (node: string) =>
        layers
          .filter((layer) => layer.node === node)
          .map((layer) => found.get(inputKey(layer))!.samples)
          .sort();
      expect(new Set(layers.map(({ id }) => id)).size).to.equal(layers.length);
      expect(samples('twice.q')).to.deep.equal([0, 3]);
      expect(samples('negated.q')).to.deep.equal([0, 3]);
    }
  });

  it('needs the length of a row in the body of a Scan', async () => {
    await writeFile(modelPath, encodeModel(scanning, 16));
    const { layers } = await inspectModel(modelPath);
    const { input, place } = layers[0];
    const inputs = [{ start: tensor(rowsOf(1)), x: tensor(rowsOf(2), [2, 1, IN]) }];
    const [found] = (
      await collectCovariances({ modelPath, tensors: [{ input, place: place! }], inputs })
    ).values();
    expect(found.samples).to.equal(0);
  });
});

function tappedBytes(path: string, layers: readonly LayerInfo[]): Uint8Array {
  const model = openModel(path);
  const taps = layers.map(({ input, place = '' }) => ({ tensor: input, place, moves: [], size: IN }));
  try {
    return flatten(withTaps(model, taps, undefined));
  } finally {
    model.close();
  }
}
