import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { join } from 'node:path';
import { applyPlan } from '../../graph-rewriter/apply.js';
import { densifyModel } from '../../graph-rewriter/densify.js';
import { inspectModel } from '../../graph-rewriter/inspect.js';
import { B, IN, layerModel, OUT, rewriteAndCompare, W, weightTensor } from './helpers/layer-model.js';
import { constant, int64s, node, readModel, tensor, valueInfo } from './helpers/onnx.js';
import { random, relativeDifference } from './helpers/reference.js';
import { runModel } from './helpers/run.js';
import {
  type KnownWeight,
  knownWeight,
  planFor,
  rewriteKnown,
  save,
  workspace,
} from './helpers/workspace.js';

const bias = tensor('b', [OUT], B);
const product = (weight: string, output: string, name = 'inner') =>
  node('MatMul', ['x', weight], [output], {}, { name });

function body(
  nodes: readonly onnx.INodeProto[],
  output: string,
  initializer: readonly onnx.ITensorProto[] = [],
): onnx.IGraphProto {
  return {
    name: 'body',
    node: [...nodes],
    output: [valueInfo(output, ['a', 'c', OUT])],
    initializer: [...initializer],
  };
}

/** An If whose branch depends on x, so that no runtime folds it; `threshold` is below or above all of x. */
function branch(then: onnx.IGraphProto, otherwise: onnx.IGraphProto, output = 'y', name = 'if') {
  return [
    node('ReduceMax', ['x'], [`${name}.max`], { keepdims: 0 }),
    node('Greater', [`${name}.max`, 'threshold'], [`${name}.cond`]),
    node('If', [`${name}.cond`], [output], { then_branch: then, else_branch: otherwise }, { name }),
  ];
}

const threshold = (value: number) => tensor('threshold', [], [value]);

/** Operators of all bodies, in order. */
function opsInBodies(graph: onnx.IGraphProto): string[] {
  return graph.node!.flatMap((n) =>
    n.attribute!.flatMap(({ g }) => (g ? [...g.node!.map((inner) => inner.opType!), ...opsInBodies(g)] : [])),
  );
}

describe('applyPlan, in bodies of control flow', () => {
  for (const limit of [-5, 5])
    it(`factorizes once what both branches of an If and the graph around read, branch ${limit < 0 ? 0 : 1}`, async () => {
      const then = body([product('w', 'p'), node('Add', ['p', 'b'], ['s']), node('Relu', ['s'], ['t'])], 't');
      const nodes = [
        ...branch(then, body([product('w', 'u')], 'u'), 'i'),
        product('w', 'm', 'outer'),
        node('Add', ['i', 'm'], ['y']),
      ];
      const { results, target, calls } = await rewriteAndCompare({
        nodes,
        initializers: [weightTensor('inOut'), bias, threshold(limit)],
      });
      expect(calls).to.have.length(1);
      expect(results.map(({ layer, result }) => [layer.id, result?.op, layer.fused.length])).to.deep.equal([
        ['outer', 'BlastMatMul', 0],
        ['if/0/inner', 'BlastMatMulRelu', 2],
        ['if/1/inner', 'BlastMatMul', 0],
      ]);
      const { graph } = readModel(target);
      expect(graph!.initializer!.map((t) => t.name)).to.deep.equal(['b', 'threshold', 'w.V', 'w.S', 'w.U']);
      expect(opsInBodies(graph!)).to.deep.equal(['BlastMatMulRelu', 'BlastMatMul']);
    });

  it("moves factors of a body's own initializers and Constant nodes to the graph around, under names of their own", async () => {
    const then = body([product('w', 't')], 't', [weightTensor('inOut')]);
    const otherwise = body(
      [constant('c', weightTensor('outIn', '')), node('Transpose', ['c'], ['w']), product('w', 'u')],
      'u',
    );
    for (const limit of [-5, 5]) {
      const { results, target, calls } = await rewriteAndCompare({
        nodes: branch(then, otherwise),
        initializers: [threshold(limit)],
      });
      expect(calls).to.have.length(2);
      expect(results.map(({ layer }) => layer.weightKey)).to.deep.equal(['if/0/w', 'if/1/c transposed']);
      const { graph } = readModel(target);
      expect(graph!.initializer!.map((t) => t.name)).to.deep.equal([
        'threshold',
        ...['w.V', 'w.S', 'w.U', 'c.V', 'c.S', 'c.U'],
      ]);
      expect(opsInBodies(graph!)).to.deep.equal(['BlastMatMul', 'BlastMatMul']);
      expect(
        graph!.node!.flatMap((n) => n.attribute!.flatMap(({ g }) => g?.initializer ?? [])),
      ).to.deep.equal([]);
    }
  });

  it('tells weights and biases of one name in different bodies apart', async () => {
    const other = knownWeight(
      { structure: 'blast', rank: 4, blocksIn: 3, blocksOut: 4, in: IN, out: OUT },
      77,
    );
    const gemm = node('Gemm', ['x', 'w', 'c'], ['t'], {}, { name: 'inner', floats: { beta: 2 } });
    const own = (weight: KnownWeight, seed: number): onnx.IGraphProto => ({
      name: 'body',
      node: [gemm],
      output: [valueInfo('t', ['n', OUT])],
      initializer: [weightTensor('inOut', 'w', 'float32', weight), tensor('c', [1, OUT], random(OUT, seed))],
    });
    for (const limit of [-5, 5]) {
      const nodes = [
        ...branch(own(W, 1), own(other, 2), 'a', 'same'),
        node(
          'If',
          ['same.cond'],
          ['d'],
          { then_branch: own(other, 3), else_branch: own(W, 4) },
          { name: 'other' },
        ),
        node('Sub', ['a', 'd'], ['y']),
      ];
      const bytes = layerModel({
        nodes,
        inputs: [valueInfo('x', ['n', IN])],
        outputs: [valueInfo('y', ['n', OUT])],
        initializers: [threshold(limit)],
      });
      const source = save(bytes);
      const info = await inspectModel(source);
      expect(new Set(info.layers.map(({ weightKey }) => weightKey)).size).to.equal(4);
      const target = join(workspace(), 'out.onnx');
      await applyPlan(source, target, await planFor(source, { w: W }), {
        factorize: (_, { data }) => {
          const known = [W, other].find(({ outIn }) => relativeDifference(data, outIn) < 1e-6)!;
          return Promise.resolve({ factors: known.factors, relativeError: 0, weightedError: 0 });
        },
      });
      const feeds = { x: { dims: [3, IN], data: random(3 * IN, 1) } };
      const [before, after] = [await runModel(source, feeds), await runModel(target, feeds)];
      expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
    }
  });

  it('reaches bodies in bodies, and weights that are reshaped around them', async () => {
    const inner = branch(body([product('v', 't')], 't'), body([product('v', 'u')], 'u'), 'n', 'deep');
    const nodes = [
      node('Reshape', ['w', 's'], ['v']),
      ...branch(body(inner, 'n'), body([product('v', 'z')], 'z')),
    ];
    const { results, target, calls } = await rewriteAndCompare({
      nodes,
      initializers: [{ ...weightTensor('inOut'), dims: [IN * OUT] }, int64s('s', [IN, OUT]), threshold(-5)],
      weights: { v: W },
    });
    expect(calls).to.have.length(1);
    expect(results.map(({ layer }) => layer.id)).to.deep.equal([
      'if/0/deep/0/inner',
      'if/0/deep/1/inner',
      'if/1/inner',
    ]);
    expect(readModel(target).graph!.node!.map((n) => n.opType)).to.deep.equal(['ReduceMax', 'Greater', 'If']);
  });

  it('rewrites the body of a Loop', async () => {
    const loopBody: onnx.IGraphProto = {
      name: 'body',
      input: [valueInfo('i', [], 'int64'), valueInfo('go', [], 'bool'), valueInfo('sum', ['a', 'c', OUT])],
      node: [node('Identity', ['go'], ['on']), product('w', 'p'), node('Add', ['p', 'sum'], ['next'])],
      output: [valueInfo('on', [], 'bool'), valueInfo('next', ['a', 'c', OUT])],
    };
    const nodes = [
      constant('times', { name: '', dims: [], dataType: 7, int64Data: [3] }),
      constant('true', { name: '', dims: [], dataType: 9, rawData: Uint8Array.of(1) }),
      node('MatMul', ['x', 'zeros'], ['start']),
      node('Loop', ['times', 'true', 'start'], ['y'], { body: loopBody }, { name: 'loop' }),
    ];
    const { results } = await rewriteAndCompare({
      nodes,
      initializers: [weightTensor('inOut'), tensor('zeros', [IN, OUT], new Float32Array(IN * OUT))],
    });
    const rewritten = results.filter(({ result }) => result !== undefined);
    expect(rewritten.map(({ layer }) => layer.id)).to.deep.equal(['loop/0/inner']);
  });

  it('rewrites the body of a Scan', async () => {
    const scanBody: onnx.IGraphProto = {
      name: 'body',
      input: [valueInfo('row', ['c', IN])],
      node: [
        node('MatMul', ['row', 'w'], ['p']),
        node('Sigmoid', ['p'], ['g']),
        node('Mul', ['p', 'g'], ['o']),
      ],
      output: [valueInfo('o', ['c', OUT])],
    };
    const { results } = await rewriteAndCompare({
      nodes: [node('Scan', ['x'], ['y'], { body: scanBody, num_scan_inputs: 1 }, { name: 'scan' })],
      initializers: [weightTensor('inOut')],
    });
    expect(results[0].result?.op).to.equal('BlastMatMulSilu');
  });

  it('keeps a weight dense everywhere that a body needs dense or passes out', async () => {
    const reader = body([product('w', 't')], 't');
    const others: readonly [onnx.IGraphProto, RegExp][] = [
      [body([node('Gather', ['w', 'ids'], ['g'], {}, { name: 'embed' })], 'g'), /Gather 'embed'/],
      [body([], 'w'), /outputs of the graph/],
    ];
    for (const [other, words] of others) {
      const model = layerModel({
        nodes: [...branch(reader, other, 'i'), product('w', 'y', 'outer')],
        inputs: [valueInfo('x', ['n', IN]), valueInfo('ids', ['k'], 'int64')],
        initializers: [weightTensor('inOut'), threshold(0)],
      });
      const { layers } = await inspectModel(save(model));
      expect(layers.map(({ reason }) => reason?.code)).to.deep.equal(['weight-tied', 'weight-tied']);
      expect(layers[0].reason?.message).to.match(words);
    }
  });

  it('does not take a value of a body for a weight of the same name around it', async () => {
    const computed = body([node('Relu', ['v'], ['w']), product('w', 't')], 't');
    const model = layerModel({
      nodes: [...branch(computed, body([product('w', 'u')], 'u'), 'i'), product('w', 'y', 'outer')],
      inputs: [valueInfo('x', ['n', IN]), valueInfo('v', [IN, OUT])],
      initializers: [weightTensor('inOut'), threshold(0)],
    });
    const { layers } = await inspectModel(save(model));
    expect(layers.map(({ id, reason }) => [id, reason?.code])).to.deep.equal([
      ['outer', undefined],
      ['if/0/inner', 'weight-not-constant'],
      ['if/1/inner', undefined],
    ]);
  });

  it('comes back from densifyModel with the same results', async () => {
    const then = body([product('w', 'p'), node('Relu', ['p'], ['t'])], 't');
    for (const limit of [-5, 5]) {
      const source = save(
        layerModel({
          nodes: branch(then, body([product('w', 'u')], 'u')),
          initializers: [weightTensor('inOut'), threshold(limit)],
        }),
      );
      const { target } = await rewriteKnown(source, { w: W });
      const dense = join(workspace(), 'dense.onnx');
      expect((await densifyModel(target, dense)).nodes).to.deep.equal(['inner', 'inner']);
      const { graph, functions } = readModel(dense);
      expect(functions).to.deep.equal([]);
      expect(opsInBodies(graph!)).to.deep.equal(['MatMul', 'Relu', 'MatMul']);
      expect(graph!.initializer!.map((t) => t.name)).to.deep.equal(['threshold', 'w']);
      const feeds = { x: { dims: [2, 3, IN], data: random(6 * IN, 1) } };
      const [before, after] = [await runModel(source, feeds), await runModel(dense, feeds)];
      expect(relativeDifference(after.y.data, before.y.data)).to.be.at.most(2e-6);
    }
  });
});
