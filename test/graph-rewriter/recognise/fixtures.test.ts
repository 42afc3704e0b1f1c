import { expect } from 'chai';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { applyPlan } from '../../../graph-rewriter/apply.js';
import { densifyModel } from '../../../graph-rewriter/densify.js';
import { inspectModel } from '../../../graph-rewriter/inspect.js';
import { Model } from '../../../graph-rewriter/model.js';
import { planRewrite } from '../../../graph-rewriter/plan.js';
import type { LayerInfo, RewriteReport } from '../../../graph-rewriter/types.js';
import { register, unregister } from '../../../src/loader/register.js';
import { random, relativeDifference } from '../helpers/reference.js';
import { runModel } from '../helpers/run.js';
import { workspace } from '../helpers/workspace.js';

/** Exports of test/fixtures/factorized/modules.py, named `<module>.<exporter>-<opset>.<rank of x>d….onnx`. */
const FOLDER = fileURLToPath(new URL('../../../../test/fixtures/factorized/', import.meta.url));
const IN = 40;

const blast = (blocks: number, rank = 3) => ({
  structure: 'blast',
  rank,
  blocksIn: blocks,
  blocksOut: blocks,
});
const monarch = (blocksIn: number, blocksOut: number) => ({
  structure: 'monarch',
  rank: 3,
  blocksIn,
  blocksOut,
});
const lowRank = (rank: number) => ({ structure: 'low-rank', rank, blocksIn: 1, blocksOut: 1 });

interface Expected {
  readonly op: string;
  readonly spec: object;
  readonly bias?: boolean;
  /** Products that stay dense. */
  readonly dense?: number;
}

/** By module; `net` holds the first and the second of its list. */
const EXPECTED: Readonly<Record<string, readonly Expected[]>> = {
  'low-rank': [{ op: 'LowRankMatMul', spec: lowRank(3), bias: true }],
  'low-rank-middle-bias': [{ op: 'LowRankMatMulRelu', spec: lowRank(3), bias: true }],
  'low-rank-no-bias': [{ op: 'LowRankMatMul', spec: lowRank(3) }],
  'low-rank-gelu': [{ op: 'LowRankMatMulGelu', spec: lowRank(3), bias: true }],
  svd: [{ op: 'BlastMatMul', spec: blast(1) }],
  lora: [{ op: 'LowRankMatMul', spec: lowRank(3), dense: 1 }],
  'lora-on-low-rank': [{ op: 'LowRankMatMul', spec: lowRank(6), bias: true }],
  'lora-on-blast': [{ op: 'BlastMatMul', spec: blast(2, 5), bias: true }],
  'blast-sum': [{ op: 'BlastMatMul', spec: blast(4), bias: true }],
  'blast-sum-silu': [{ op: 'BlastMatMulSilu', spec: blast(2), bias: true }],
  'blast-einsum': [{ op: 'BlastMatMul', spec: blast(4) }],
  'blast-einsum-gelu': [{ op: 'BlastMatMulGeluTanh', spec: blast(2), bias: true }],
  'blast-bmm': [{ op: 'BlastMatMul', spec: blast(4), bias: true }],
  'monarch-bmm': [{ op: 'MonarchMatMulInterleaved', spec: monarch(4, 4) }],
  'monarch-bmm-contiguous': [{ op: 'MonarchMatMulRelu', spec: monarch(2, 4), bias: true }],
  'monarch-einsum': [{ op: 'MonarchMatMulInterleaved', spec: monarch(4, 2), bias: true }],
  'monarch-einsum-contiguous': [{ op: 'MonarchMatMul', spec: monarch(4, 4) }],
  net: [
    { op: 'BlastMatMulGelu', spec: blast(4), bias: true, dense: 3 },
    { op: 'LowRankMatMul', spec: lowRank(2) },
  ],
};

describe('Layers that PyTorch exports factorized', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.onnx'));

  it('has fixtures of every module, by both exporters', () => {
    for (const name of Object.keys(EXPECTED))
      for (const exporter of ['torchscript', 'dynamo'])
        expect(
          files.some((file) => file.startsWith(`${name}.${exporter}`)),
          `${name} ${exporter}`,
        ).to.equal(true);
  });

  for (const file of files) {
    const [name] = file.split('.');
    const expected = EXPECTED[name];
    const isHalf = file.includes('.fp16');

    it(`recognises ${file} and takes its numbers over`, async () => {
      const { source, target, report } = await rewriteRecognised(file);
      const rewritten = report.layers.filter(({ result }) => result !== undefined);
      expect(rewritten.map(({ result }) => result!.op)).to.deep.equal(expected.map(({ op }) => op));
      rewritten.forEach(({ layer, result }, i) => {
        expect(layer.factorized!.spec).to.deep.equal(expected[i].spec);
        expect(layer.factorized!.factorType).to.equal(isHalf ? 'float16' : 'float32');
        expect(layer.bias).to.equal(expected[i].bias ?? false);
        expect(result).to.include({ relativeError: 0, weightedError: 0 });
      });
      expect(report.layers.length - rewritten.length).to.equal(expected[0].dense ?? 0);
      expectOnlyProducts(target, rewritten.length);
      for (const { layer } of rewritten) expectSameNumbers(source, target, layer);
    });

    it(`computes what ${file} computes, with the plugin and without`, async () => {
      const { source, target } = await rewriteRecognised(file);
      const dense = join(dirname(target), 'dense.onnx');
      await densifyModel(target, dense);
      for (const leading of leadingOf(file)) {
        const data = random(leading.reduce((a, b) => a * b, 1) * IN, 5);
        const feeds = { x: { dims: [...leading, IN], data, type: isHalf ? 'float16' : 'float32' } as const };
        const before = (await runModel(source, feeds)).y;
        // float16 models round every value between their nodes, the operators only the last one.
        const expectAlike = (after: typeof before, where: string) => {
          expect(after.dims).to.deep.equal(before.dims);
          expect(relativeDifference(after.data, before.data), where).to.be.at.most(isHalf ? 1e-2 : 2e-6);
        };
        expectAlike((await runModel(target, feeds)).y, 'without the plugin');
        expectAlike((await runModel(dense, feeds)).y, 'made dense');
        expectAlike(await withPlugin(async () => (await runModel(target, feeds)).y), 'with the plugin');
      }
    });
  }
});

async function rewriteRecognised(
  file: string,
): Promise<{ source: string; target: string; report: RewriteReport }> {
  const source = join(FOLDER, file);
  const target = join(workspace(), basename(file));
  const plan = planRewrite(await inspectModel(source), { recognisedOnly: true });
  const factorize = () => Promise.reject(new Error('nothing is to be factorized'));
  return { source, target, report: await applyPlan(source, target, plan, { factorize }) };
}

/** No product, and nothing that only moved numbers for one, is left of the layers. */
function expectOnlyProducts(target: string, layers: number): void {
  const model = Model.open(target);
  const ops = model.graph.nodes.map(({ opType }) => opType);
  model.close();
  const ours = ops.filter((op) => /^(LowRank|Blast|Monarch)MatMul/.test(op));
  expect(ours).to.have.length(layers);
  expect(
    ops.filter((op) =>
      ['Reshape', 'Transpose', 'Einsum', 'ReduceSum', 'Shape', 'Concat', 'Gather'].includes(op),
    ),
  ).to.deep.equal([]);
}

/** The new factors hold the old numbers, in some order; U may be scaled by 2, and S has ones where a LoRA branch joins BLAST. */
function expectSameNumbers(source: string, target: string, layer: LayerInfo): void {
  const before = Model.open(source);
  const after = Model.open(target);
  const old = layer.factorized!.weights.flatMap((name) => [
    ...before.graph.initializers.get(name)!.numbers(),
  ]);
  const ours = after.graph.initializers;
  const made = [...ours.keys()]
    .filter((name) => name.startsWith(`${layer.factorized!.weights[0]}.`) && /\.[VSU]$/.test(name))
    .flatMap((name) => [...ours.get(name)!.numbers()]);
  before.close();
  after.close();
  const isNew = (value: number) => {
    const is = (other: number) => old.includes(Math.fround(other));
    return !(
      is(value) ||
      is(value / 2) ||
      value === 1 ||
      old.some((o) => Math.fround(o * Math.fround(0.3)) === value || Math.fround(o * 0.3) === value)
    );
  };
  expect(made.length).to.be.at.least(old.length);
  expect(made.filter(isNew)).to.deep.equal([]);
}

async function withPlugin<T>(run: () => Promise<T>): Promise<T> {
  register();
  try {
    return await run();
  } finally {
    unregister();
  }
}

function leadingOf(file: string): number[][] {
  if (file.includes('.static')) return [[2, 5]];
  return file.includes('.2d')
    ? [[1], [6], [17]]
    : [
        [1, 1],
        [2, 5],
        [3, 7],
      ];
}
