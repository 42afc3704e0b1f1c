import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { onnx as Onnx } from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import {
  collectCovariances,
  type CollectRequest,
  type Feeds,
  inputKey,
} from '../../graph-rewriter/calibration/index.js';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { randomNormal } from '../../graph-rewriter/factorize/linalg/random.js';
import { cast, constant, DataType, encodeModel, floats, op, value } from './tiny-model.js';

const IN = 5;
const OUT = 3;
const random = randomNormal(11);
const weight = floats('', [IN, OUT], Array.from({ length: IN * OUT }, random));

/** y = relu(x)·W with W in a Constant node; `h` enters the MatMul. */
const denseGraph: Onnx.IGraphProto = {
  node: [constant('w', weight), op('Relu', ['x'], ['h']), op('MatMul', ['h', 'w'], ['y'])],
  input: [value('x', DataType.FLOAT, ['batch', 'time', IN])],
  output: [value('y', DataType.FLOAT)],
};

function feed(dims: number[], fill: () => number = random): Feeds {
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, fill);
  return { x: new ort.Tensor('float32', data, dims) };
}

/** E[x xᵀ] of rows of length `size` by plain loops in double. */
function expectedCovariance(
  batches: readonly Feeds[],
  size: number,
  map: (x: number) => number = (x) => x,
): Float64Array {
  const sum = new Float64Array(size * size);
  let rows = 0;
  for (const { x } of batches) {
    const data = x.data as Float32Array;
    for (let start = 0; start < data.length; start += size, rows++)
      for (let a = 0; a < size; a++)
        for (let c = 0; c < size; c++) sum[a * size + c] += map(data[start + a]) * map(data[start + c]);
  }
  return sum.map((total) => total / rows);
}

function expectClose(actual: Float32Array, expected: Float64Array, tolerance: number): void {
  expect(actual.length).to.equal(expected.length);
  const peak = Math.max(...expected.map(Math.abs));
  actual.forEach((entry, at) => expect(entry).to.be.closeTo(expected[at], tolerance * peak));
}

describe('collectCovariances', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'blockrank-calibration-'))));
  after(() => rm(folder, { recursive: true }));

  async function collect(
    model: Uint8Array,
    request: Pick<CollectRequest, 'tensors' | 'inputs'> & Partial<CollectRequest>,
  ) {
    const modelPath = join(folder, 'model.onnx');
    await writeFile(modelPath, model);
    return collectCovariances({ modelPath, ...request });
  }

  async function failure(work: Promise<unknown>): Promise<BlockrankError> {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).to.be.instanceOf(BlockrankError);
    return error as BlockrankError;
  }

  for (const opset of [7, 13])
    it(`transposes and takes together what a product does so, at opset ${opset}`, async () => {
      // h [batch, 2, 3, 5] → rows of 2 · 5 at each place of the axis of 3.
      const graph = {
        node: [op('Relu', ['x'], ['h']), op('Identity', ['h'], ['y'])],
        input: [value('x', DataType.FLOAT, ['batch', 2, 3, IN])],
        output: [value('y', DataType.FLOAT)],
      };
      const inputs = [feed([4, 2, 3, IN]), feed([1, 2, 3, IN])];
      const moves = [{ transpose: [0, 2, 1, 3] }, { reshape: [0, 0, 2 * IN] }];
      const layer = { input: 'h', inputMoves: moves };
      const found = await collect(encodeModel(graph, opset), { tensors: [layer, 'h'], inputs });
      const moved = inputs.map(({ x }) => {
        const data = x.data as Float32Array;
        const rows = x.dims[0] * 3;
        const at = (row: number, feature: number) =>
          ((Math.floor(row / 3) * 2 + Math.floor(feature / IN)) * 3 + (row % 3)) * IN + (feature % IN);
        const swapped = Float32Array.from(
          { length: data.length },
          (_, i) => data[at(Math.floor(i / (2 * IN)), i % (2 * IN))],
        );
        return { x: new ort.Tensor('float32', swapped, [rows, 2 * IN]) };
      });
      const relu = (v: number) => Math.max(v, 0);
      const { size, samples, matrix } = found.get(inputKey(layer))!;
      expect([size, samples]).to.deep.equal([2 * IN, 15]);
      expectClose(matrix, expectedCovariance(moved, 2 * IN, relu), 1e-5);
      expectClose(found.get('h')!.matrix, expectedCovariance(inputs, IN, relu), 1e-5);
    });

  for (const opset of [7, 9, 10, 13, 21]) {
    it(`equals plain loops over batches of any leading sizes, at opset ${opset}`, async () => {
      const inputs = [feed([2, 4, IN]), feed([1, 1, IN]), feed([3, 2, IN])];
      const result = await collect(encodeModel(denseGraph, opset), { tensors: ['h', 'x', 'h'], inputs });
      expect([...result.keys()]).to.eql(['h', 'x']);
      const relu = (x: number) => Math.max(x, 0);
      expect(result.get('h')).to.include({ size: IN, samples: 15 });
      expectClose(result.get('h')!.matrix, expectedCovariance(inputs, IN, relu), 1e-6);
      expectClose(result.get('x')!.matrix, expectedCovariance(inputs, IN), 1e-6);
    });
  }

  for (const opset of [9, 13, 21]) {
    it(`leaves out the rows that a mask marks by zeros, whatever they hold, at opset ${opset}`, async () => {
      const mask = 'attention_mask';
      const graph: Onnx.IGraphProto = {
        ...denseGraph,
        node: [...denseGraph.node!, op('Identity', [mask], ['m'])],
        input: [...denseGraph.input!, value(mask, DataType.INT64, ['batch', 'time'])],
        output: [...denseGraph.output!, value('m', DataType.INT64)],
      };
      const whole = feed([2, 4, IN]);
      const keep = [1n, 1n, 1n, 0n, 1n, 0n, 0n, 0n];
      const rows = keep.flatMap((kept, row) => (kept ? [row] : []));
      const data = whole.x.data as Float32Array;
      const cut = Float32Array.from(
        rows.flatMap((row) => Array.from(data.subarray(row * IN, (row + 1) * IN))),
      );
      keep.forEach((kept, row) => kept || data.fill(NaN, row * IN, (row + 1) * IN));
      const inputs = [{ ...whole, [mask]: new ort.Tensor('int64', BigInt64Array.from(keep), [2, 4]) }];
      const model = encodeModel(graph, opset);
      const result = await collect(model, { tensors: ['x', 'h'], inputs });
      expect(result.get('x')!.samples).to.equal(4);
      const alone = [{ x: new ort.Tensor('float32', cut, [4, IN]) }];
      expectClose(result.get('x')!.matrix, expectedCovariance(alone, IN), 1e-6);
      const error = await failure(collect(model, { tensors: ['x'], inputs, mask: false }));
      expect(error.message).to.match(/NaN/);
    });
  }

  it('counts all rows of a tensor that has another number of them than the mask', async () => {
    const input = [value('x', DataType.FLOAT, ['n', IN]), value('attention_mask', DataType.INT64, ['k'])];
    const graph = {
      node: [op('Identity', ['x'], ['y']), op('Identity', ['attention_mask'], ['m'])],
      input,
      output: [value('y', DataType.FLOAT), value('m', DataType.INT64)],
    };
    const inputs = [{ ...feed([6, IN]), attention_mask: new ort.Tensor('int64', new BigInt64Array(4), [4]) }];
    const result = await collect(encodeModel(graph, 13), { tensors: ['x'], inputs });
    expect(result.get('x')!.samples).to.equal(6);
    expectClose(result.get('x')!.matrix, expectedCovariance(inputs, IN), 1e-6);
  });

  it('takes float16 and one-dimensional tensors', async () => {
    const graph: Onnx.IGraphProto = {
      node: [cast('x', 'half', DataType.FLOAT16), cast('half', 'y', DataType.FLOAT)],
      input: [value('x', DataType.FLOAT)],
      output: [value('y', DataType.FLOAT)],
    };
    const inputs = [feed([4]), feed([4])];
    const result = await collect(encodeModel(graph, 13), { tensors: ['half'], inputs });
    expect(result.get('half')!.samples).to.equal(2);
    expectClose(result.get('half')!.matrix, expectedCovariance(inputs, 4), 2e-3);
  });

  it('reads weights from external data beside the model, from any working directory, and leaves nothing behind', async () => {
    await writeFile(join(folder, 'w.bin'), Float32Array.from(weight.floatData!));
    const external: Onnx.ITensorProto = {
      name: 'w',
      dims: [IN, OUT],
      dataType: DataType.FLOAT,
      dataLocation: 1,
      externalData: [{ key: 'location', value: 'w.bin' }],
    };
    const graph = { ...denseGraph, node: denseGraph.node!.slice(1), initializer: [external] };
    const inputs = [feed([1, 3, IN])];
    const result = await collect(encodeModel(graph, 13), { tensors: ['x'], inputs });
    expectClose(result.get('x')!.matrix, expectedCovariance(inputs, IN), 1e-6);
    expect((await readdir(folder)).sort()).to.eql(['model.onnx', 'w.bin']);
  });

  it('sums in double: a large batch and many small ones agree', async () => {
    const rows = 2000;
    const whole = feed([1, rows, IN], () => 1 + 1e-3 * random());
    const data = whole.x.data as Float32Array;
    const parts = Array.from({ length: rows }, (_, n) => ({
      x: new ort.Tensor('float32', data.slice(n * IN, (n + 1) * IN), [1, 1, IN]),
    }));
    const model = encodeModel(denseGraph, 13);
    const result = await collect(model, { tensors: ['x'], inputs: parts });
    expect(result.get('x')!.samples).to.equal(rows);
    expectClose(result.get('x')!.matrix, expectedCovariance([whole], IN), 1e-7);
    const once = await collect(model, { tensors: ['x'], inputs: [whole] });
    expectClose(once.get('x')!.matrix, expectedCovariance([whole], IN), 1e-6);
  });

  it('ends where every tensor has enough rows for each of its features', async () => {
    const inputs = Array.from({ length: 6 }, () => feed([1, IN, IN]));
    const few = await collect(encodeModel(denseGraph, 17), {
      tensors: ['h', 'x'],
      inputs,
      rowsPerFeature: 2,
    });
    expect(few.get('h')).to.include({ samples: 2 * IN });
    expectClose(few.get('x')!.matrix, expectedCovariance(inputs.slice(0, 2), IN), 1e-6);
    const all = await collect(encodeModel(denseGraph, 17), {
      tensors: ['h', 'x'],
      inputs,
      rowsPerFeature: 99,
    });
    expect(all.get('h')).to.include({ samples: 6 * IN });
  });

  it('says that it saw nothing: no batch, empty batches', async () => {
    for (const none of [[], [{ x: new ort.Tensor('float32', new Float32Array(0), [2, 0, IN]) }]]) {
      const empty = await collect(encodeModel(denseGraph, 13), { tensors: ['h'], inputs: none });
      expect(empty.get('h')).to.include({ size: 0, samples: 0 });
    }
  });

  it('counts the batches and stops when it is aborted', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const error = await failure(
      collect(encodeModel(denseGraph, 13), {
        tensors: ['x'],
        inputs: Array.from({ length: 5 }, () => feed([1, 1, IN])),
        signal: controller.signal,
        onProgress: (batches) => {
          seen.push(batches);
          if (batches === 2) controller.abort();
        },
      }),
    );
    expect(error.code).to.equal('ABORTED');
    expect(seen).to.eql([1, 2]);
  });

  describe('refuses', () => {
    const model = encodeModel(denseGraph, 13);

    for (const bad of [NaN, Infinity]) {
      it(`inputs that hold ${bad}, naming tensor, batch and feature`, async () => {
        const poisoned = feed([1, 2, IN]);
        (poisoned.x.data as Float32Array)[IN + 3] = bad;
        const error = await failure(collect(model, { tensors: ['x'], inputs: [feed([1, 1, IN]), poisoned] }));
        expect(error.code).to.equal('INVALID_INPUTS');
        expect(error.message).to.match(/'x' holds NaN or infinity in feature \d \(calibration batch 1\)/);
      });
    }

    it('a tensor that the model does not have', async () => {
      const error = await failure(collect(model, { tensors: ['nowhere'], inputs: [] }));
      expect(error.code).to.equal('INVALID_ARGUMENT');
      expect(error.message).to.match(/no tensor 'nowhere'/);
    });

    it('inputs that are not the model’s, naming those', async () => {
      const wrong = { z: feed([1, 1, IN]).x };
      const error = await failure(collect(model, { tensors: ['x'], inputs: [wrong] }));
      expect(error.code).to.equal('INVALID_INPUTS');
      expect(error.message).to.match(/batch 0 .*inputs are x/);
    });

    it('rows whose length changes between batches', async () => {
      const graph = {
        node: [op('Relu', ['x'], ['y'])],
        input: [value('x', DataType.FLOAT)],
        output: [value('y', DataType.FLOAT)],
      };
      const inputs = [feed([2, 3]), feed([2, 4])];
      const error = await failure(collect(encodeModel(graph, 13), { tensors: ['x'], inputs }));
      expect(error.message).to.match(/rows of 4 features where batches before had 3/);
    });

    it('a file that is no model, and one that is not there', async () => {
      const garbage = await failure(
        collect(Uint8Array.from([0xff, 1, 2, 3]), { tensors: ['x'], inputs: [] }),
      );
      expect(garbage.code).to.equal('INVALID_MODEL');
      const missing = { modelPath: join(folder, 'missing.onnx'), tensors: [], inputs: [] };
      expect((await failure(collectCovariances(missing))).code).to.equal('IO');
    });
  });
});
