/** Work of other streams and of the same one: neither changes what a layer gives. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import proto, { type onnx } from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import { buildLayer, runLayer, type BuiltLayer, type LayerSpec } from '../ops/helpers/layer.js';
import { decodeHalf, values } from '../ops/helpers/values.js';
import { useGpu } from './gpu.js';

const SPEC: LayerSpec = {
  structure: 'BlastMatMul',
  sizes: { in: 768, out: 768, blocksIn: 6, blocksOut: 6, rank: 96 },
  leading: [64],
  xType: 'float16',
  factorType: 'float16',
  bias: 'all',
};
const CUDA = { executionProviders: ['cuda'] };
const RUNS = 200;

/** Runs the model again and again in a session of its own; gives the number of runs that differ from the first. */
const WORKER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const ort = require(workerData.ort);
  (async () => {
    const session = await ort.InferenceSession.create(workerData.model, { executionProviders: ['cuda'] });
    const X = new ort.Tensor('float16', workerData.x, workerData.dims);
    let different = 0;
    for (let run = 0; run < workerData.runs; run++) {
      const { Y } = await session.run({ X });
      const bytes = ({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength);
      if (Buffer.compare(bytes(Y.data), bytes(workerData.y)) !== 0) different++;
    }
    await session.release();
    parentPort.postMessage(different);
  })().catch((error) => parentPort.postMessage(String(error)));
`;

function sameBits(a: ort.Tensor, b: ort.Tensor): boolean {
  const [x, y] = [a.data as Uint16Array, b.data as Uint16Array];
  return x.length === y.length && x.every((bits, index) => bits === y[index]);
}

function runInWorker(layer: BuiltLayer, y: Uint16Array): Promise<unknown> {
  const { data: x, dims } = layer.feeds['X'];
  const workerData = {
    ort: createRequire(import.meta.url).resolve('onnxruntime-node'),
    model: layer.model,
    x,
    dims,
    y,
    runs: RUNS,
  };
  return new Promise((resolve, reject) => {
    new Worker(WORKER, { eval: true, workerData }).once('message', resolve).once('error', reject);
  });
}

/** Gives a [rank, in] matrix, such as V of SPEC, for as many rows of X. */
const PRODUCER: LayerSpec = {
  ...SPEC,
  structure: 'LowRankMatMul',
  leading: [SPEC.sizes.rank],
  bias: 'none',
};
const SCALES = [1, 4, 2];

function withGraph(model: Uint8Array, edit: (graph: onnx.GraphProto) => void): Uint8Array {
  const decoded = proto.onnx.ModelProto.decode(model);
  edit(decoded.graph as onnx.GraphProto);
  return proto.onnx.ModelProto.encode(decoded).finish();
}

/** `consumer` with its V computed from an input A by `producer`, whose last kernel lets the next one start early. */
function fedBy(producer: BuiltLayer, consumer: BuiltLayer): Uint8Array {
  const added = proto.onnx.ModelProto.decode(producer.model).graph as onnx.GraphProto;
  return withGraph(consumer.model, (graph) => {
    for (const initializer of added.initializer) initializer.name += '_of_V';
    const [node] = added.node;
    node.name = 'producer';
    node.input = ['A', 'V_of_V', 'U_of_V'];
    node.output = ['V'];
    graph.node.unshift(node);
    graph.input.push({ ...added.input[0], name: 'A' });
    graph.initializer = [...graph.initializer.filter(({ name }) => name !== 'V'), ...added.initializer];
  });
}

function withStored(V: ort.Tensor, consumer: BuiltLayer): Uint8Array {
  const { buffer, byteOffset, byteLength } = V.data as Uint16Array;
  return withGraph(consumer.model, (graph) => {
    const stored = graph.initializer.find(({ name }) => name === 'V');
    if (stored) stored.rawData = new Uint8Array(buffer, byteOffset, byteLength);
  });
}

/** X of the producer, small enough that V has the size of a weight. */
function producerInputs(producer: BuiltLayer): ort.Tensor[] {
  const { data, dims } = producer.feeds['X'];
  const halves = Array.from(data as Uint16Array, decodeHalf);
  return SCALES.map((k) => {
    const { bytes } = values('float16', dims, (index) => (halves[index] * k) / 32);
    return new ort.Tensor('float16', new Uint16Array(bytes.buffer), dims);
  });
}

describe('a layer on CUDA', () => {
  useGpu();

  it('gives the same bits while another session runs', async () => {
    const layers = [buildLayer(SPEC), buildLayer({ ...SPEC, structure: 'MonarchMatMul', leading: [3] })];
    const alone = await Promise.all(layers.map((layer) => runLayer(layer, CUDA)));
    const different = await Promise.all(
      layers.map((layer, index) => runInWorker(layer, alone[index].data as Uint16Array)),
    );
    expect(different).to.deep.equal([0, 0]);
  });

  for (const tokens of [1, 64]) {
    it(`waits for factors that another layer computes (${tokens} tokens)`, async () => {
      const producer = buildLayer(PRODUCER);
      const consumer = buildLayer({ ...SPEC, leading: [tokens] });
      const inputs = producerInputs(producer);
      const stored: ort.Tensor[] = [];
      for (const X of inputs) {
        const V = await runLayer({ ...producer, feeds: { X } }, CUDA);
        stored.push(await runLayer({ ...consumer, model: withStored(V, consumer) }, CUDA));
      }
      expect(sameBits(stored[0], stored[1]), 'V changes the result').to.equal(false);
      const session = await ort.InferenceSession.create(fedBy(producer, consumer), CUDA);
      for (let run = 0; run < 20 * SCALES.length; run++) {
        const index = run % SCALES.length;
        const { Y } = await session.run({ ...consumer.feeds, A: inputs[index] });
        expect(sameBits(Y, stored[index]), `run ${run}`).to.equal(true);
      }
      await session.release();
    });
  }

  it('gives one session the right bits for numbers of tokens in any order', async () => {
    const small = { ...SPEC, sizes: { ...SPEC.sizes, in: 192, out: 192 } };
    const session = await ort.InferenceSession.create(buildLayer(small).model, CUDA);
    for (const tokens of [300, 1, 17, 0, 128, 2, 300]) {
      const layer = buildLayer({ ...small, leading: [tokens] });
      const { Y } = await session.run(layer.feeds);
      expect(sameBits(Y, await runLayer(layer, CUDA)), `${tokens} tokens`).to.equal(true);
    }
    await session.release();
  });
});
