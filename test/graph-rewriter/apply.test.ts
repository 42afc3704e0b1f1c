import { expect } from 'chai';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { applyPlan } from '../../graph-rewriter/apply.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { planRewrite } from '../../graph-rewriter/plan.js';
import { GRAPH, MODEL, NODE, TENSOR, VALUE_INFO } from '../../graph-rewriter/schema.js';
import { VERSION } from '../../graph-rewriter/version.js';
import { Message } from '../../graph-rewriter/wire/message.js';
import type { Span } from '../../graph-rewriter/wire/scan.js';
import { FileSource } from '../../graph-rewriter/wire/source.js';
import { expectError } from './helpers/errors.js';
import { B, IN, knownSpec, layerModel, OUT, W, weightTensor } from './helpers/layer-model.js';
import { constant, node, readModel, tensor, valueInfo } from './helpers/onnx.js';
import { random, relativeDifference } from './helpers/reference.js';
import { interfaceOf, runModel } from './helpers/run.js';
import { withUnknownFields } from './helpers/unknown-fields.js';
import {
  anyFactors,
  knownFactors,
  planFor,
  rewriteAny,
  rewriteKnown,
  save,
  sha256,
  workspace,
} from './helpers/workspace.js';

/** x → MatMul, Add, Relu (rewritten) → Mul by a row → y, with a function and a dense product beside it. */
function richModel(): Uint8Array {
  return layerModel({
    nodes: [
      constant('unread', tensor('', [2], [1, 2])),
      node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc', docString: 'the layer' }),
      node('Identity', ['x'], ['x1'], {}, { name: 'between' }),
      node('Add', ['m', 'b'], ['v'], {}, { name: 'add' }),
      node('Relu', ['v'], ['r'], {}, { name: 'relu' }),
      node('MatMul', ['x1', 'w2'], ['d'], {}, { name: 'dense' }),
      node('Sub', ['r', 'd'], ['y'], {}, { name: 'sub' }),
    ],
    initializers: [
      tensor('b', [OUT], B),
      weightTensor('inOut'),
      tensor('w2', [IN, OUT], random(IN * OUT, 9)),
      tensor('extra', [3], [1, 2, 3]),
    ],
    valueInfo: [
      valueInfo('m', ['a', 'b', OUT]),
      valueInfo('v', ['a', 'b', OUT]),
      valueInfo('d', ['a', 'b', OUT]),
    ],
    functions: [
      {
        name: 'Other',
        domain: 'test',
        input: ['a'],
        output: ['b'],
        node: [node('Identity', ['a'], ['b'])],
        opsetImport: [{ domain: '', version: 17 }],
      },
    ],
    domains: ['test'],
  });
}

function hashes(message: Message, without: (span: Span) => boolean = () => false): string[] {
  return message.spans
    .filter((span) => !without(span))
    .map((span) => {
      const bytes = message.source.read(span.tag, span.end);
      return `${span.field} ${createHash('sha256').update(bytes).digest('hex')}`;
    });
}

function openMessage(path: string): Message {
  return Message.of(new FileSource(path));
}

describe('applyPlan', () => {
  it('changes nothing but what the plan names: every other field has the same bytes in the same order', async () => {
    const source = save(withUnknownFields(richModel()));
    const { target } = await rewriteKnown(source, { w: W });
    const [before, after] = [openMessage(source), openMessage(target)];

    const added = new Set([MODEL.functions, MODEL.opsetImport, MODEL.metadataProps] as number[]);
    const isGraph = (span: Span) => span.field === MODEL.graph;
    const modelBefore = hashes(before, isGraph);
    const modelAfter = hashes(after, isGraph);
    expect(modelAfter.slice(0, modelBefore.length)).to.deep.equal(modelBefore);
    const newFields = after.spans.slice(before.spans.length).map((span) => span.field);
    expect(newFields.every((field) => added.has(field))).to.be.true;
    expect(newFields).to.have.length(5);

    const [graph, edited] = [before.messages(MODEL.graph)[0], after.messages(MODEL.graph)[0]];
    const gone = new Set(['fc', 'add', 'relu', 'w', 'm', 'v']);
    const nameField: Record<number, number> = {
      [GRAPH.node]: NODE.name,
      [GRAPH.initializer]: TENSOR.name,
      [GRAPH.valueInfo]: VALUE_INFO.name,
    };
    const isTouched = (parent: Message) => (span: Span) => {
      const field = nameField[span.field];
      const name = field === undefined ? '' : parent.child(span).string(field);
      return gone.has(name) || /^w\.[VSU]$/.test(name);
    };
    expect(hashes(edited, isTouched(edited))).to.deep.equal(hashes(graph, isTouched(graph)));
    expect(hashes(graph, isTouched(graph))).to.have.length(graph.spans.length - gone.size);
  });

  it("keeps the node's name, documentation and metadata, in the place of the last fused node", async () => {
    const source = save(withUnknownFields(richModel()));
    const { target } = await rewriteKnown(source, { w: W });
    const nodes = openMessage(target).messages(MODEL.graph)[0].messages(GRAPH.node);
    expect(nodes.map((n) => n.string(NODE.opType))).to.deep.equal([
      'Constant',
      'Identity',
      'BlastMatMulRelu',
      'MatMul',
      'Sub',
    ]);
    expect(nodes[2].string(NODE.name)).to.equal('fc');
    expect(nodes[2].string(NODE.docString)).to.equal('the layer');
    expect(nodes[2].strings(NODE.input)).to.deep.equal(['x', 'w.V', 'w.S', 'w.U', 'b']);
    expect(nodes[2].strings(NODE.output)).to.deep.equal(['r']);
    expect(nodes[2].messages(NODE.metadataProps).map((e) => e.strings(2))).to.deep.equal([['line 1']]);
  });

  it('writes a model of the same interface and results', async () => {
    const source = save(richModel());
    const { target } = await rewriteKnown(source, { w: W });
    expect(await interfaceOf(target)).to.deep.equal(await interfaceOf(source));
    const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };
    const [before, after] = [await runModel(source, feeds), await runModel(target, feeds)];
    expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
  });

  it('states what it did in the metadata and in the report', async () => {
    const source = save(richModel());
    const { target, report } = await rewriteKnown(source, { w: W });
    const entries = readModel(target).metadataProps;
    const metadata = (key: string) => entries.find((e) => e.key === `blockrank.${key}`)?.value ?? '';
    expect(metadata('version')).to.equal(VERSION);
    expect(metadata('source')).to.equal(sha256(source));
    expect(JSON.parse(metadata('layers'))).to.deep.equal([
      {
        node: 'fc',
        op: 'BlastMatMulRelu',
        ...knownSpec(W.factors),
        factorType: 'float32',
        relativeError: 0.125,
        weightedError: 0.25,
      },
    ]);
    expect(report).to.include({
      source,
      target,
      bytesBefore: readFileSync(source).length,
      bytesAfter: readFileSync(target).length,
    });
    expect(report.layers.map((l) => l.result?.op)).to.deep.equal(['BlastMatMulRelu', undefined]);
    expect(report.layers[0].result).to.deep.include({
      bytesBefore: 4 * IN * OUT,
      bytesAfter: 4 * 4 * (IN + OUT + 12),
      fused: ['add', 'relu'],
    });
  });

  it('gives the same bytes every time', async () => {
    const source = save(withUnknownFields(richModel()));
    const files = [];
    for (const name of ['a.onnx', 'b.onnx']) {
      const target = join(workspace(), name);
      await rewriteAny(source, target, { minSize: 1 });
      files.push(sha256(target));
    }
    expect(files[0]).to.equal(files[1]);
  });

  it('raises the IR version only where it is below 8', async () => {
    for (const [irVersion, expected] of [
      [3, 8],
      [4, 8],
      [7, 8],
      [8, 8],
      [9, 9],
      [10, 10],
    ]) {
      const source = save(
        layerModel({
          nodes: [node('MatMul', ['x', 'w'], ['y'])],
          initializers: [weightTensor('inOut')],
          irVersion,
          inputs:
            irVersion < 4
              ? [valueInfo('x', ['n', IN]), valueInfo('w', [IN, OUT])]
              : [valueInfo('x', ['n', IN])],
        }),
      );
      const { target } = await rewriteKnown(source, { w: W });
      expect(Number(readModel(target).irVersion)).to.equal(expected);
      expect((await interfaceOf(target)).inputMetadata.map((i) => i.name)).to.deep.equal(['x']);
    }
  });

  it('changes only the data-independent parts where nothing is rewritten', async () => {
    const source = save(withUnknownFields(richModel()));
    const target = join(dirname(source), 'same.onnx');
    await rewriteAny(source, target, { exclude: ['*'] });
    expect(sha256(target)).to.equal(sha256(source));
  });

  it('keeps a weight dense that holds NaN or infinity, and says so', async () => {
    for (const bad of [NaN, Infinity]) {
      const values = W.inOut.slice();
      values[100] = bad;
      const source = save(
        layerModel({
          nodes: [node('MatMul', ['x', 'w'], ['y'])],
          initializers: [tensor('w', [IN, OUT], values)],
        }),
      );
      const target = join(dirname(source), 'out.onnx');
      const { layers } = await rewriteAny(source, target, { minSize: 1 });
      expect(layers[0].result).to.equal(undefined);
      expect(layers[0].plan).to.have.property('keep').that.includes({ code: 'weight-not-finite' });
      expect(sha256(target)).to.equal(sha256(source));
    }
  });

  it('writes factors of any type', async () => {
    const source = save(richModel());
    for (const [factorType, tolerance] of [
      ['float16', 5e-3],
      ['bfloat16', 3e-2],
    ] as const) {
      const { target } = await rewriteKnown(source, { w: W }, { factorType });
      const feeds = { x: { dims: [1, 4, IN], data: random(4 * IN, 1) } };
      const [before, after] = [await runModel(source, feeds), await runModel(target, feeds)];
      const difference = relativeDifference(after.y.data, before.y.data);
      expect(difference).to.be.at.most(tolerance).and.greaterThan(0);
    }
  });

  it('calls back once a layer, and stops when told to, leaving nothing behind', async () => {
    const source = save(richModel());
    const plan = planRewrite(await inspectModel(source), { minSize: 1 });
    const folder = workspace();
    const seen: string[] = [];
    const onProgress = (done: number, total: number, layer: { id: string }) =>
      seen.push(`${done}/${total} ${layer.id}`);
    await applyPlan(source, join(folder, 'out.onnx'), plan, { factorize: anyFactors, onProgress });
    expect(seen).to.deep.equal(['1/2 fc', '2/2 dense']);
    const stop = new AbortController();
    const target = join(folder, 'stopped.onnx');
    const run = () =>
      applyPlan(source, target, plan, {
        factorize: anyFactors,
        onProgress: () => stop.abort(),
        signal: stop.signal,
      });
    await expectError(run, 'ABORTED', /no file was written/);
    expect(readdirSync(folder)).to.deep.equal(['out.onnx']);
  });

  it('leaves nothing behind when the factorization fails or returns nonsense', async () => {
    const source = save(richModel());
    const plan = await planFor(source, { w: W });
    const folder = workspace();
    const target = join(folder, 'out.onnx');
    const fail = () => applyPlan(source, target, plan, { factorize: () => Promise.reject(new Error('no')) });
    let message = '';
    await fail().catch((error: Error) => (message = error.message));
    expect(message).to.equal('no');
    const good = W.factors;
    for (const factors of [
      { ...good, U: good.U.slice(1) },
      { ...good, in: IN + 1 },
      { ...good, rank: 5 },
      { ...good, U: good.U.map(() => NaN) },
    ]) {
      const wrong = () =>
        applyPlan(source, target, plan, {
          factorize: () => Promise.resolve({ factors, relativeError: 0, weightedError: 0 }),
        });
      await expectError(wrong, 'FACTORIZATION', /fc/);
    }
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('refuses factors that float16 cannot hold', async () => {
    const source = save(richModel());
    const plan = await planFor(source, { w: W }, 'float16');
    const factors = { ...W.factors, U: W.factors.U.map((u) => u * 1e6) };
    const run = () =>
      applyPlan(source, join(workspace(), 'o.onnx'), plan, {
        factorize: () => Promise.resolve({ factors, relativeError: 0, weightedError: 0 }),
      });
    await expectError(run, 'FACTORIZATION', /Factor U of fc holds .* which float16 cannot/);
  });

  it('refuses to write over the source, under any of its names, unless asked', async () => {
    const source = save(richModel());
    const folder = dirname(source);
    const [linked, symlinked] = [join(folder, 'hard.onnx'), join(folder, 'soft.onnx')];
    linkSync(source, linked);
    symlinkSync(source, symlinked);
    const plan = await planFor(source, { w: W });
    const { factorize } = knownFactors({ w: W });
    for (const target of [source, join(folder, '.', basename(source)), linked, symlinked])
      await expectError(
        () => applyPlan(source, target, plan, { factorize }),
        'INVALID_ARGUMENT',
        /is the source model itself/,
      );
    await applyPlan(source, source, plan, { factorize, overwrite: true });
    expect(readModel(source).functions.map((f) => f.name)).to.include('BlastMatMulRelu');
  });

  it('refuses a target that is no file before it factorizes, and leaves it there', async () => {
    const source = save(richModel());
    const plan = await planFor(source, { w: W });
    const factorize = () => Promise.reject(new Error('was called'));
    // A rename would put the model in the place of /dev/null.
    for (const target of [dirname(source), '/dev/null'])
      await expectError(() => applyPlan(source, target, plan, { factorize }), 'IO', /a folder or a device/);
    expect(statSync('/dev/null').isCharacterDevice()).to.equal(true);
  });

  it('says why a target cannot be written', async () => {
    const source = save(richModel());
    const plan = await planFor(source, { w: W });
    const { factorize } = knownFactors({ w: W });
    const missing = join(dirname(source), 'no', 'such', 'out.onnx');
    await expectError(() => applyPlan(source, missing, plan, { factorize }), 'IO', /folder does not exist/);
  });

  it('refuses plans for other files, unknown layers and impossible decisions', async () => {
    const source = save(richModel());
    const good = await planFor(source, { w: W });
    const spec = knownSpec(W.factors);
    const fc = (change: object, factorType = 'float32') => ({
      ...good,
      layers: [{ id: 'fc', spec: { ...spec, ...change }, factorType: factorType as 'float32' }],
    });
    const refused: readonly [typeof good, RegExp][] = [
      [{ ...good, source: '0'.repeat(64) }, /made for another file/],
      [
        { ...good, layers: [{ id: 'nobody', spec, factorType: 'float32' }] },
        /nobody: The model has no layer/,
      ],
      [fc({ rank: 40 }), /fc: Rank 40 does not make \[24, 36\] smaller; 11 is the largest/],
      [fc({ blocksOut: 37 }), /fc: 36 output features cannot be cut into 37 blocks/],
    ];
    for (const [plan, words] of refused)
      await expectError(
        () => applyPlan(source, join(workspace(), 'o.onnx'), plan, { factorize: anyFactors }),
        'INVALID_PLAN',
        words,
      );
  });

  it('keeps layers that the plan does not name', async () => {
    const source = save(richModel());
    const plan = { ...(await planFor(source, { w: W })), layers: [] };
    const { layers } = await applyPlan(source, join(workspace(), 'o.onnx'), plan, { factorize: anyFactors });
    expect(layers.map((l) => 'keep' in l.plan && l.plan.keep.code)).to.deep.equal([
      'kept-by-plan',
      'kept-by-plan',
    ]);
  });

  it('refuses a model that was rewritten before', async () => {
    const source = save(richModel());
    const { target } = await rewriteKnown(source, { w: W });
    const again = join(dirname(source), 'again.onnx');
    await expectError(
      () => rewriteAny(target, again),
      'UNSUPPORTED_MODEL',
      /was rewritten by blockrank before/,
    );
    expect(existsSync(again)).to.be.false;
  });

  it('invents names that the model does not use, in bodies either', async () => {
    const body = { name: 'then', node: [node('Identity', ['w.V'], ['t'])], output: [valueInfo('t', [1])] };
    const source = save(
      layerModel({
        nodes: [
          constant('cond', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
          node('MatMul', ['x', 'w'], ['m'], {}, { name: 'fc' }),
          node('If', ['cond'], ['i'], { then_branch: body, else_branch: body }),
          node('Add', ['m', 'i'], ['y']),
        ],
        initializers: [weightTensor('inOut'), tensor('w.V', [1], [2]), tensor('w.U', [1], [2])],
      }),
    );
    const { target } = await rewriteKnown(source, { w: W });
    expect(readModel(target).graph!.node!.find((n) => n.name === 'fc')!.input).to.deep.equal([
      'x',
      'w.V.1',
      'w.S',
      'w.U.1',
    ]);
    const feeds = { x: { dims: [1, 2, IN], data: random(2 * IN, 1) } };
    const [before, after] = [await runModel(source, feeds), await runModel(target, feeds)];
    expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
  });

  it('takes a source that other processes hold under a link', async () => {
    const source = save(richModel());
    const copy = join(workspace(), 'copy.onnx');
    copyFileSync(source, copy);
    const link = join(workspace(), 'link.onnx');
    symlinkSync(copy, link);
    const { bytesAfter } = await rewriteAny(link, join(workspace(), 'o.onnx'), { minSize: 1 });
    expect(bytesAfter).to.be.greaterThan(0);
  });
});
