import { expect } from 'chai';
import { dirname, join } from 'node:path';
import type { onnx } from 'onnx-proto';
import { applyPlan } from '../../../graph-rewriter/apply.js';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { Model } from '../../../graph-rewriter/model.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import { findLayers } from '../../../graph-rewriter/layers.js';
import { checkRecognition } from '../../../graph-rewriter/recognise/check.js';
import { factorNumbers } from '../../../graph-rewriter/recognise/numbers.js';
import type { Factors } from '../../../graph-rewriter/factorize/types.js';
import type { PlanOptions, RewritePlan, RewriteReport } from '../../../graph-rewriter/types.js';
import { expectError } from '../helpers/errors.js';
import { IN, layerModel, type LayerModel, OUT } from '../helpers/layer-model.js';
import { constant, encodeModel, int64s, node, tensor, valueInfo } from '../helpers/onnx.js';
import { random, relativeDifference } from '../helpers/reference.js';
import { runModel } from '../helpers/run.js';
import { anyFactors, save } from '../helpers/workspace.js';
import { blastModel, blastNodes, INITIALIZERS } from './blast-model.js';

const R = 3;
const a = tensor('a', [IN, R], random(R * IN, 4));
const b = tensor('b', [R, OUT], random(R * OUT, 5));
const pair = [
  node('MatMul', ['x', 'a'], ['h'], {}, { name: 'down' }),
  node('MatMul', ['h', 'b'], ['y'], {}, { name: 'up' }),
];
const pairModel = (model: Partial<LayerModel> = {}) =>
  layerModel({ leading: [7], nodes: pair, initializers: [a, b], ...model });

async function rewrite(
  bytes: Uint8Array,
  options: PlanOptions = {},
  edit = (plan: RewritePlan) => plan,
): Promise<{ source: string; target: string; report: RewriteReport }> {
  const source = save(bytes);
  const target = join(dirname(source), 'out.onnx');
  const plan = edit(planRewrite(await inspectModel(source), options));
  return { source, target, report: await applyPlan(source, target, plan, { factorize: anyFactors }) };
}

/** Rewrites and compares; returns the names of the operators that were written. */
async function rewriteAndRun(
  bytes: Uint8Array,
  leading: readonly number[] = [7],
  tolerance = 2e-6,
): Promise<string[]> {
  const { source, target, report } = await rewrite(bytes);
  const data = random(
    leading.reduce((p, d) => p * d, IN),
    9,
  );
  const feeds = { x: { dims: [...leading, IN], data } };
  const [before, after] = [await runModel(source, feeds), await runModel(target, feeds)];
  for (const name of Object.keys(before)) {
    expect(after[name].dims).to.deep.equal(before[name].dims);
    expect(relativeDifference(after[name].data, before[name].data), name).to.be.at.most(tolerance);
  }
  return report.layers.flatMap(({ result }) => result?.op ?? []);
}

function opsOf(path: string): string[] {
  const model = Model.open(path);
  const ops = model.graph.nodes.map(({ opType }) => opType);
  model.close();
  return ops;
}

describe('recognise', () => {
  it('takes weights from Constant nodes, behind Transpose, Reshape and Cast', async () => {
    const turned = tensor('', [R, IN], random(R * IN, 4));
    const half = tensor('b', [R * OUT], random(R * OUT, 5), 'float16');
    const nodes = [
      constant('at', turned),
      node('Transpose', ['at'], ['a'], { perm: [1, 0] }),
      node('Cast', ['b'], ['wide'], { to: 1 }),
      constant('shape', {
        dims: [2],
        dataType: 7,
        rawData: new Uint8Array(BigInt64Array.of(BigInt(R), BigInt(OUT)).buffer),
      }),
      node('Reshape', ['wide', 'shape'], ['b2']),
      pair[0],
      node('MatMul', ['h', 'b2'], ['y']),
    ];
    expect(await rewriteAndRun(pairModel({ nodes, initializers: [half] }))).to.deep.equal(['LowRankMatMul']);
  });

  it('keeps float16 factors of a float32 layer in float16', async () => {
    const halves = [
      tensor('a', [IN, R], random(R * IN, 4), 'float16'),
      tensor('b', [R, OUT], random(R * OUT, 5), 'float16'),
    ];
    const nodes = [
      node('Cast', ['a'], ['a32'], { to: 1 }),
      node('Cast', ['b'], ['b32'], { to: 1 }),
      node('MatMul', ['x', 'a32'], ['h']),
      node('MatMul', ['h', 'b32'], ['y']),
    ];
    const bytes = pairModel({ nodes, initializers: halves });
    expect(await rewriteAndRun(bytes)).to.deep.equal(['LowRankMatMul']);
    expect((await inspectModel(save(bytes))).layers[0].factorized!.factorType).to.equal('float16');
  });

  it('takes alpha, beta and biases of two Gemms', async () => {
    const nodes = [
      node('Gemm', ['x', 'a', 'b1'], ['h'], {}, { floats: { alpha: 0.5, beta: 3 } }),
      node('Gemm', ['h', 'bt', 'b2'], ['y'], { transB: 1 }, { floats: { alpha: -2, beta: 0.25 } }),
    ];
    const initializers = [
      a,
      tensor('bt', [OUT, R], random(R * OUT, 5)),
      tensor('b1', [R], random(R, 6)),
      tensor('b2', [1, OUT], random(OUT, 7)),
    ];
    expect(await rewriteAndRun(pairModel({ nodes, initializers }))).to.deep.equal(['LowRankMatMul']);
  });

  it('takes a pair of MatMuls whose input has no declared shape, whatever axes it has', async () => {
    const inputs = [{ name: 'x', type: { tensorType: { elemType: 1 } } }];
    const outputs = [{ name: 'y', type: { tensorType: { elemType: 1 } } }];
    for (const leading of [[], [7], [2, 5], [2, 3, 4]])
      expect(await rewriteAndRun(pairModel({ inputs, outputs }), leading)).to.deep.equal(['LowRankMatMul']);
  });

  it('takes S that is the same for all output blocks, or for all input blocks', async () => {
    for (const [dims, blocks] of [
      [[1, 4, 1, 3], { blocksIn: 4, blocksOut: 1 }],
      [[4, 1, 1, 3], { blocksIn: 1, blocksOut: 4 }],
    ] as const) {
      const s = tensor('s', dims, random(12, 8));
      const bytes = blastModel({ initializers: INITIALIZERS.map((each) => (each.name === 's' ? s : each)) });
      const { report } = await rewrite(bytes);
      expect(report.layers[0].layer.factorized!.spec).to.deep.equal({
        structure: 'blast',
        rank: 3,
        ...blocks,
      });
      expect(await rewriteAndRun(bytes)).to.deep.equal(['BlastMatMul']);
    }
  });

  it('leaves x cut into blocks to the other layers that read it, and removes it with the last one', async () => {
    const second = blastNodes()
      .slice(2)
      .map((each) => renamed(each, ['cutX', 'blocks', 'x', 'v', 's', 'u', 'cut', 'join', 'zero', 'one']));
    const nodes = [...blastNodes(), ...second, node('Mul', ['y', 'y.second'], ['d'])];
    const outputs = [valueInfo('d', ['n', OUT])];
    const bytes = blastModel({ nodes, outputs });
    expect(await rewriteAndRun(bytes)).to.deep.equal(['BlastMatMul', 'BlastMatMul']);
    const all = await rewrite(bytes);
    expect(opsOf(all.target)).to.deep.equal(['BlastMatMul', 'BlastMatMul', 'Mul']);
    const one = await rewrite(bytes, { exclude: ['inner'] });
    expect(opsOf(one.target).filter((op) => op === 'BlastMatMul')).to.have.length(1);
    await runModel(one.target, { x: { dims: [2, IN], data: random(2 * IN, 1) } });
    // The same factors twice are stored once.
    expect(
      Object.keys(await initializersOf(all.target)).filter((name) => /\.[VSU]\d*$/.test(name)),
    ).to.deep.equal(['v.V', 'v.S', 'v.U']);
  });

  it('recognises layers one after another', async () => {
    const nodes = [
      ...pair.slice(0, 1),
      node('MatMul', ['h', 'b'], ['m']),
      node('MatMul', ['m', 'c'], ['k']),
      node('MatMul', ['k', 'd'], ['y']),
    ];
    const initializers = [
      a,
      b,
      tensor('c', [OUT, 2], random(2 * OUT, 1)),
      tensor('d', [2, OUT], random(2 * OUT, 2)),
    ];
    expect(await rewriteAndRun(pairModel({ nodes, initializers }))).to.deep.equal([
      'LowRankMatMul',
      'LowRankMatMul',
    ]);
  });

  it('keeps what makes x, also where only the layer reads it', async () => {
    for (const [op, other] of [
      ['Mul', 'gain'],
      ['Add', 'gain'],
      ['Reshape', 'same'],
    ] as const) {
      const nodes = [
        node(op, ['x', other], ['x1']),
        node('Relu', ['x1'], ['x2']),
        node(op, ['x2', other], ['x3']),
      ];
      const rest = [node('MatMul', ['x3', 'a'], ['h']), pair[1]];
      const initializers = [a, b, tensor('gain', [IN], random(IN, 3)), int64s('same', [-1, IN])];
      const bytes = pairModel({ nodes: [...nodes, ...rest], initializers });
      expect(await rewriteAndRun(bytes)).to.deep.equal(['LowRankMatMul']);
    }
  });

  it('recognises a layer in both bodies of an If', async () => {
    const body = (name: string, nodes: readonly onnx.INodeProto[]): onnx.IGraphProto => ({
      name,
      node: [...nodes],
      output: [valueInfo(`${name}.y`, ['n', OUT])],
    });
    const inner = (name: string) => [
      node('MatMul', ['x', 'a'], [`${name}.h`]),
      node('MatMul', [`${name}.h`, 'b'], [`${name}.y`]),
    ];
    const choose = node('If', ['yes'], ['y'], {
      then_branch: body('then', inner('then')),
      else_branch: body('else', inner('else')),
    });
    const yes = { name: 'yes', dims: [], dataType: 9, rawData: Uint8Array.of(1) };
    const bytes = encodeModel({
      nodes: [choose],
      inputs: [valueInfo('x', ['n', IN])],
      outputs: [valueInfo('y', ['n', OUT])],
      initializers: [a, b, yes],
    });
    expect(await rewriteAndRun(bytes)).to.deep.equal(['LowRankMatMul', 'LowRankMatMul']);
  });

  it('keeps a layer whose factors are not finite', async () => {
    const values = random(R * IN, 4);
    values[5] = NaN;
    const { report } = await rewrite(pairModel({ initializers: [tensor('a', [IN, R], values), b] }));
    expect(report.layers[0].plan).to.have.nested.property('keep.code', 'weight-not-finite');
  });
});

describe('Plans of recognised layers', () => {
  it('name them whatever is asked for dense layers, unless they are left out', async () => {
    const info = await inspectModel(save(blastModel()));
    const spec = { structure: 'blast', rank: 3, blocksIn: 4, blocksOut: 4 };
    for (const options of [
      {},
      { keep: 0.1 },
      { rank: 1 },
      { structure: 'monarch' },
      { minSize: 1e9 },
      { recognisedOnly: true },
    ] as const)
      expect(planRewrite(info, options).layers).to.deep.equal([{ id: 'inner', spec, factorType: 'float32' }]);
    for (const name of ['inner', 'v', 's', 'u'])
      expect(planRewrite(info, { exclude: [name] }).layers[0]).to.have.nested.property(
        'keep.code',
        'excluded',
      );
  });

  it('leave dense layers alone where only recognised ones are asked for', async () => {
    const dense = tensor('w', [OUT, OUT], random(OUT * OUT, 3));
    const nodes = [
      ...blastNodes(),
      node('Relu', ['y'], ['g']),
      node('MatMul', ['g', 'w'], ['out'], {}, { name: 'fc' }),
    ];
    const bytes = blastModel({
      nodes,
      initializers: [...INITIALIZERS, dense],
      outputs: [valueInfo('out', ['n', OUT])],
    });
    const info = await inspectModel(save(bytes));
    const codes = (options: PlanOptions) =>
      planRewrite(info, options).layers.map((plan) => ('keep' in plan ? plan.keep.code : 'spec'));
    expect(codes({ minSize: 0 })).to.deep.equal(['spec', 'spec']);
    expect(codes({ minSize: 0, recognisedOnly: true })).to.deep.equal(['spec', 'excluded']);
  });

  it('keep a recognised layer where the plan says so, and refuse another structure for it', async () => {
    const keep = (plan: RewritePlan): RewritePlan => ({
      ...plan,
      layers: plan.layers.map(({ id }) => ({ id, keep: { code: 'kept-by-plan', message: 'no' } })),
    });
    const { report } = await rewrite(blastModel(), {}, keep);
    expect(report.layers[0].result).to.equal(undefined);
    const other = (plan: RewritePlan): RewritePlan => ({
      ...plan,
      layers: plan.layers.map((layer) =>
        'spec' in layer ? { ...layer, spec: { ...layer.spec, rank: 2 } } : layer,
      ),
    });
    await expectError(
      () => rewrite(blastModel(), {}, other),
      'INVALID_PLAN',
      /inner: It is factorized already/,
    );
  });
});

describe('checkRecognition', () => {
  async function outcome(change: (factors: Factors) => void) {
    const model = Model.open(save(blastModel()));
    try {
      const { recognition } = findLayers(model)[0];
      const { structure } = recognition!;
      const values = Object.fromEntries(
        (['V', 'S', 'U'] as const).map((name) => [name, factorNumbers(structure, name)]),
      );
      const factors = { ...structure.spec, in: structure.in, out: structure.out, ...values } as Factors;
      change(factors);
      return await checkRecognition(recognition!, factors);
    } finally {
      model.close();
    }
  }

  it('passes the factors of the layer', async () => {
    expect(await outcome(() => undefined)).to.equal(undefined);
  });

  it('passes a LoRA branch of zeros', async () => {
    const zeros = tensor('b', [R, OUT], new Float32Array(R * OUT));
    const { report } = await rewrite(pairModel({ initializers: [a, zeros] }));
    expect(report.layers[0].result?.op).to.equal('LowRankMatMul');
  });

  it('catches swapped blocks, swapped ranks and one wrong number', async () => {
    const swap = (values: Float32Array, i: number, j: number) =>
      ([values[i], values[j]] = [values[j], values[i]]);
    const wrong: ((f: Factors) => void)[] = [
      (f) => Array.from({ length: R }, (_, k) => swap(f.S!, R + k, 4 * R + k)),
      (f) => swap(f.S!, 0, 1),
      (f) => swap(f.V, 0, 1),
      (f) => (f.U[7] *= -1),
    ];
    for (const change of wrong) expect(await outcome(change)).to.include({ code: 'factors-differ' });
  });
});

async function initializersOf(path: string): Promise<Record<string, readonly number[]>> {
  const model = Model.open(path);
  const all = Object.fromEntries([...model.graph.initializers].map(([name, { dims }]) => [name, dims]));
  model.close();
  return Promise.resolve(all);
}

/** A copy of the node with new names for all values but the shared ones. */
function renamed(each: onnx.INodeProto, shared: readonly string[]): onnx.INodeProto {
  const rename = (names: readonly string[] = []) =>
    names.map((name) => (shared.includes(name) ? name : `${name}.second`));
  return {
    ...each,
    name: each.name ? `${each.name} again` : '',
    input: rename(each.input ?? []),
    output: rename(each.output ?? []),
  };
}
