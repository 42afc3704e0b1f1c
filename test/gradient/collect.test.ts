import { rm, writeFile, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { onnx } from 'onnx-proto';
import { Tensor } from 'onnxruntime-node';
import type { BlockrankError } from '../../graph-rewriter/errors.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import { collectGradients, type GradientRequest } from '../../graph-rewriter/gradient/index.js';
import { spread } from '../../graph-rewriter/gradient/samples.js';
import { encodeModel, node, tensor, valueInfo } from '../graph-rewriter/helpers/onnx.js';

const IN = 5;
const OUT = 4;
const CLASSES = 6;
const random = randomNormal(5);
const normals = (count: number) => Float32Array.from({ length: count }, random);
const first = normals(IN * OUT);
const second = normals(OUT * CLASSES);

/** logits = tanh(x·A)·B, with names as given. */
function model(output = 'logits', tail: onnx.INodeProto[] = [], opset = 17): Uint8Array {
  const last = tail.length > 0 ? 'before' : output;
  return encodeModel({
    nodes: [
      node('MatMul', ['x', 'A'], ['h'], {}, { name: 'one' }),
      node('Tanh', ['h'], ['t']),
      node('MatMul', ['t', 'B'], [last], {}, { name: 'two' }),
      ...tail,
    ],
    inputs: [
      valueInfo('x', ['batch', 'time', IN]),
      valueInfo('attention_mask', ['batch', 'time'], 'int64'),
      valueInfo('input_ids', ['batch', 'time'], 'int64'),
    ],
    outputs: [valueInfo(output, ['batch', 'time', CLASSES])],
    initializers: [tensor('A', [IN, OUT], first), tensor('B', [OUT, CLASSES], second)],
    opset,
  });
}

function feed(x: Float32Array, tokens: number, mask: readonly number[], ids = mask.map(() => 0)) {
  const whole = (values: readonly number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [values.length / tokens, tokens]);
  return {
    x: new Tensor('float32', x, [mask.length / tokens, tokens, IN]),
    attention_mask: whole(mask),
    input_ids: whole(ids),
  };
}

/** Row n of x·A, tanh of it, and the logits, in double. */
function forward(x: Float32Array, row: number) {
  const hidden = Array.from({ length: OUT }, (_, o) =>
    Math.tanh(sum(IN, (i) => x[row * IN + i] * first[i * OUT + o])),
  );
  const logits = Array.from({ length: CLASSES }, (_, c) =>
    sum(OUT, (o) => hidden[o] * second[o * CLASSES + c]),
  );
  const total = logits.reduce((all, value) => all + Math.exp(value), 0);
  return { hidden, logits, p: logits.map((value) => Math.exp(value) / total) };
}

const sum = (count: number, of: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => of(i)).reduce((a, b) => a + b, 0);

describe('collectGradients', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'blockrank-gradient-'))));
  after(() => rm(folder, { recursive: true }));

  async function collect(bytes: Uint8Array, request: Omit<GradientRequest, 'modelPath' | 'layers'>) {
    const modelPath = join(folder, 'model.onnx');
    await writeFile(modelPath, bytes);
    return collectGradients({ modelPath, layers: ['one', 'two'], ...request });
  }

  const failure = (work: Promise<unknown>): Promise<BlockrankError> =>
    work.then(
      () => expect.fail('it did not fail'),
      (error: unknown) => error as BlockrankError,
    );

  function expectNear(found: Float64Array | undefined, expected: readonly number[], tolerance: number) {
    expect(found?.length).to.equal(expected.length);
    expected.forEach((value, i) => expect(found![i] / value).to.be.within(1 - tolerance, 1 + tolerance));
  }

  it('equals p − onehot of the true next tokens by plain loops, without masked and last positions', async () => {
    const tokens = 5;
    const mask = [1, 1, 1, 1, 0, 1, 1, 1, 1, 1];
    const ids = [2, 0, 5, 1, 3, 4, 4, 2, 0, 1];
    const x = normals(mask.length * IN);
    const { energies, loss } = await collect(model(), {
      inputs: [feed(x, tokens, mask, ids)],
      loss: 'next-token',
    });
    const counted = mask.flatMap((value, n) => ((n + 1) % tokens > 0 && value && mask[n + 1] ? [n] : []));
    expect(counted).to.eql([0, 1, 2, 5, 6, 7, 8]);
    const rows = counted.map((n) => {
      const { hidden, p } = forward(x, n);
      const g = p.map((value, c) => value - (c === ids[n + 1] ? 1 : 0));
      const back = hidden.map((h, o) => (1 - h * h) * sum(CLASSES, (c) => g[c] * second[o * CLASSES + c]));
      return { g, back };
    });
    const mean = (count: number, of: (row: (typeof rows)[number], i: number) => number) =>
      Array.from({ length: count }, (_, i) => sum(rows.length, (n) => of(rows[n], i) ** 2) / rows.length);
    expect(loss).to.equal('next-token');
    expectNear(
      energies.get('two'),
      mean(CLASSES, ({ g }, c) => g[c]),
      1e-5,
    );
    expectNear(
      energies.get('one'),
      mean(OUT, ({ back }, o) => back[o]),
      1e-5,
    );
  });

  it('estimates the Fisher information p(1 − p) of logits, of rows that the mask leaves in', async () => {
    const tokens = 4000;
    const one = normals(IN);
    const x = Float32Array.from({ length: tokens * IN }, (_, i) => (i < (tokens / 2) * IN ? one[i % IN] : 9));
    const mask = Array.from({ length: tokens }, (_, n) => (n < tokens / 2 ? 1 : 0));
    const { energies, loss } = await collect(model(), { inputs: [feed(x, tokens, mask)] });
    expect(loss).to.equal('distribution');
    const { p } = forward(x, 0);
    // Of 2000 samples of g², a variance of about 2: three deviations are 0.1.
    expectNear(
      energies.get('two'),
      p.map((value) => value * (1 - value)),
      0.15,
    );
  });

  it('takes the squared error of other outputs relative to what they are', async () => {
    const tokens = 500;
    const x = normals(tokens * IN);
    const mask = Array.from({ length: tokens }, () => 1);
    const { energies, loss } = await collect(model('y'), { inputs: [feed(x, tokens, mask)] });
    const energy = sum(tokens, (n) => forward(x, n).logits.reduce((all, value) => all + value * value, 0));
    expect(loss).to.equal('squared');
    expectNear(
      energies.get('two'),
      Array.from({ length: CLASSES }, () => tokens / energy),
      0.3,
    );
  });

  it('predicts what a small change of a layer costs the loss', async () => {
    const tokens = 400;
    const x = normals(tokens * IN);
    const mask = Array.from({ length: tokens }, () => 1);
    const { energies } = await collect(model(), { inputs: [feed(x, tokens, mask)] });
    // A change of A by E: KL per row against ½ Σ_o energy_o (E C Eᵀ)_oo.
    const change = normals(IN * OUT).map((value) => 0.03 * value);
    const moved = (n: number, o: number) => sum(IN, (i) => x[n * IN + i] * change[i * OUT + o]);
    const predicted =
      0.5 * sum(OUT, (o) => energies.get('one')![o] * (sum(tokens, (n) => moved(n, o) ** 2) / tokens));
    const measured =
      sum(tokens, (n) => {
        const { hidden, p } = forward(x, n);
        const changed = hidden.map((h, o) => Math.tanh(Math.atanh(h) + moved(n, o)));
        const logits = p.map((_, c) => sum(OUT, (o) => changed[o] * second[o * CLASSES + c]));
        const total = logits.reduce((all, value) => all + Math.exp(value), 0);
        return sum(CLASSES, (c) => p[c] * (Math.log(p[c]) - logits[c] + Math.log(total)));
      }) / tokens;
    // The prediction leaves out that channels move together: the same size, not the same number.
    expect(measured / predicted).to.be.within(0.5, 2);
  });

  it('starts at what enters an operator without a rule, and names it', async () => {
    const tail = [node('CumSum', ['before', 'axis'], ['y'])];
    const bytes = encodeModel({
      nodes: [node('MatMul', ['x', 'A'], ['before'], {}, { name: 'one' }), ...tail],
      inputs: [valueInfo('x', ['batch', IN])],
      outputs: [valueInfo('y', ['batch', OUT])],
      initializers: [tensor('A', [IN, OUT], first), { name: 'axis', dims: [], dataType: 6, int32Data: [0] }],
    });
    const x = new Tensor('float32', normals(3 * IN), [3, IN]);
    const { energies, blocked } = await collect(bytes, { inputs: [{ x }] });
    expect(blocked).to.eql(['CumSum #1']);
    expect(energies.get('one')?.every((value) => value > 0)).to.equal(true);
  });

  it('does not mind what masked rows hold', async () => {
    const x = normals(4 * IN);
    const poisoned = x.map((value, i) => (i >= 3 * IN ? NaN : value));
    const [a, b] = await Promise.all(
      [x, poisoned].map(async (values, i) => {
        const modelPath = join(folder, `masked-${i}.onnx`);
        await writeFile(modelPath, model('y'));
        const inputs = [feed(values, 4, [1, 1, 1, 0])];
        return collectGradients({ modelPath, layers: ['one'], inputs });
      }),
    );
    expect([...b.energies.get('one')!]).to.eql([...a.energies.get('one')!]);
  });

  it('gives the same numbers each time', async () => {
    const x = normals(6 * IN);
    const inputs = [feed(x, 3, [1, 1, 1, 1, 1, 0])];
    const [a, b] = [await collect(model(), { inputs }), await collect(model(), { inputs })];
    expect([...a.energies.get('one')!]).to.eql([...b.energies.get('one')!]);
  });

  it('stops where it has enough rows, of samples spread over the inputs, one in a run', async () => {
    const tokens = 5;
    const ids = Array.from({ length: tokens }, (_, i) => i);
    const rows = Array.from({ length: 8 }, () => normals(tokens * IN));
    const batch = (samples: readonly Float32Array[]) =>
      feed(
        Float32Array.from(samples.flatMap((sample) => [...sample])),
        tokens,
        samples.flatMap(() => ids.map(() => 1)),
        samples.flatMap(() => ids),
      );
    const done: number[] = [];
    // Each sample has four rows with a next token.
    const some = await collect(model(), {
      inputs: [batch(rows.slice(0, 2)), batch(rows.slice(2, 8))],
      loss: 'next-token',
      mostRows: 8,
      onProgress: (batches) => done.push(batches),
    });
    const alone = await collect(model(), {
      inputs: [batch([rows[0]]), batch([rows[4]])],
      loss: 'next-token',
    });
    expect(done).to.eql([0.25, 0.5]);
    expect([...some.energies.get('one')!]).to.eql([...alone.energies.get('one')!]);
    expect(spread(6)).to.eql([0, 4, 2, 1, 5, 3]);
  });

  it('refuses old opsets, a loss without logits, NaN and inputs of which no row counts', async () => {
    const mask = [1, 1];
    const inputs = [feed(normals(2 * IN), 2, mask)];
    expect((await failure(collect(model('y', [], 12), { inputs }))).code).to.equal('UNSUPPORTED_MODEL');
    const unfit = await failure(collect(model('y'), { inputs, loss: 'distribution' }));
    expect(unfit.message).to.match(/distribution needs logits; .* has the outputs y/);
    const nan = [feed(new Float32Array(2 * IN).fill(NaN), 2, mask)];
    const open = await failure(collect(model('y'), { inputs: nan, mask: false }));
    expect(open.message).to.match(/gradient of NaN/);
    const none = [feed(normals(2 * IN), 2, [0, 0])];
    expect((await failure(collect(model(), { inputs: none }))).code).to.equal('INVALID_INPUTS');
  });
});
