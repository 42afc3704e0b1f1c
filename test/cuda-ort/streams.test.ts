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

const SCALES = [1, 4, 2];
const HALF_OF: Readonly<Record<number, number>> = { 1: 0x3c00, 2: 0x4000, 4: 0x4400 };

/** V · k is computed by a kernel just before the layer, which must not read it early; k is an input of the model. */
function scaledInGraph(model: Uint8Array): Uint8Array {
  const decoded = proto.onnx.ModelProto.decode(model);
  const graph = decoded.graph as onnx.GraphProto;
  const [node] = graph.node;
  const scale = { opType: 'Mul', name: 'scale', input: ['V', 'k'], output: ['V_scaled'] };
  node.input = (node.input ?? []).map((name) => (name === 'V' ? 'V_scaled' : name));
  graph.node = [scale, node] as never;
  graph.input.push({ name: 'k', type: { tensorType: { elemType: 10, shape: { dim: [{ dimValue: 1 }] } } } });
  return proto.onnx.ModelProto.encode(decoded).finish();
}

/** The same with V · k stored; exact, since k is a power of two and V far from fp16's largest number. */
function scaledBefore(model: Uint8Array, k: number): Uint8Array {
  const decoded = proto.onnx.ModelProto.decode(model);
  const V = (decoded.graph as onnx.GraphProto).initializer.find(({ name }) => name === 'V')!;
  const bytes = Uint8Array.from(V.rawData as Uint8Array);
  const halves = Array.from(new Uint16Array(bytes.buffer), decodeHalf);
  V.rawData = values('float16', V.dims as number[], (index) => halves[index] * k).bytes;
  return proto.onnx.ModelProto.encode(decoded).finish();
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
    it(`waits for factors that a kernel before it computes (${tokens} tokens)`, async () => {
      const layer = buildLayer({ ...SPEC, leading: [tokens] });
      const stored = await Promise.all(
        SCALES.map((k) => runLayer({ ...layer, model: scaledBefore(layer.model, k) }, CUDA)),
      );
      const session = await ort.InferenceSession.create(scaledInGraph(layer.model), CUDA);
      for (let run = 0; run < 20 * SCALES.length; run++) {
        const index = run % SCALES.length;
        const k = new ort.Tensor('float16', new Uint16Array([HALF_OF[SCALES[index]]]), [1]);
        const { Y } = await session.run({ ...layer.feeds, k });
        expect(sameBits(Y, stored[index]), `run ${run}`).to.equal(true);
      }
      expect(sameBits(stored[0], stored[1]), 'the scale changes the result').to.equal(false);
      await session.release();
    });
  }

  it('gives one session the right bits for numbers of tokens in any order', async () => {
    const session = await ort.InferenceSession.create(buildLayer(SPEC).model, CUDA);
    for (const tokens of [300, 1, 17, 0, 128, 2, 300]) {
      const layer = buildLayer({ ...SPEC, leading: [tokens] });
      const { Y } = await session.run(layer.feeds);
      expect(sameBits(Y, await runLayer(layer, CUDA)), `${tokens} tokens`).to.equal(true);
    }
    await session.release();
  });
});
