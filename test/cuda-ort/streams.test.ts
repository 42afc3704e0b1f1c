/** Work of other streams and of the same one: neither changes what a layer gives. */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import proto, { type onnx } from 'onnx-proto';
import * as ort from 'onnxruntime-node';
import { buildLayer, runLayer, type BuiltLayer, type LayerSpec } from '../ops/helpers/layer.js';
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
      if (Buffer.compare(Buffer.from(Y.data.buffer), Buffer.from(workerData.y.buffer)) !== 0) different++;
    }
    await session.release();
    parentPort.postMessage(different);
  })().catch((error) => parentPort.postMessage(String(error)));
`;

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

/** V · k and U / k are computed by kernels just before the layer, which must not read them early. */
function withFactorsComputedJustBefore({ model }: BuiltLayer): Uint8Array {
  const decoded = proto.onnx.ModelProto.decode(model) as onnx.ModelProto;
  const graph = decoded.graph as onnx.GraphProto;
  const [node] = graph.node;
  const scaled = ['V', 'U'].map((name, index) => ({
    opType: index === 0 ? 'Mul' : 'Div',
    name: `scale_${name}`,
    input: [name, 'k'],
    output: [`${name}_scaled`],
  }));
  node.input = (node.input ?? []).map((name) => (name === 'V' || name === 'U' ? `${name}_scaled` : name));
  graph.node = [...scaled, node] as never;
  graph.input.push({ name: 'k', type: { tensorType: { elemType: 10, shape: { dim: [{ dimValue: 1 }] } } } });
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
      const constant = await runLayer(layer, CUDA);
      const session = await ort.InferenceSession.create(withFactorsComputedJustBefore(layer), CUDA);
      // A power of two changes no bit of the result; another one in between changes what lies in the memory.
      for (const scale of [0x4000, 0x3c00, 0x4400, 0x3800]) {
        const k = new ort.Tensor('float16', new Uint16Array([scale]), [1]);
        const { Y } = await session.run({ ...layer.feeds, k });
        expect(Y.data).to.deep.equal(constant.data);
      }
      await session.release();
    });
  }

  it('gives one session the right bits for numbers of tokens in any order', async () => {
    const session = await ort.InferenceSession.create(buildLayer(SPEC).model, CUDA);
    for (const tokens of [300, 1, 17, 0, 128, 2, 300]) {
      const layer = buildLayer({ ...SPEC, leading: [tokens] });
      const { Y } = await session.run(layer.feeds);
      expect(Y.data).to.deep.equal((await runLayer(layer, CUDA)).data);
    }
    await session.release();
  });
});
