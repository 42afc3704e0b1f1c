/** Rewritten models under other versions of onnxruntime-node, with the plugin and by their own functions (BLOCKRANK_TEST_ORT). */
import { expect } from 'chai';
import { join } from 'node:path';
import { seededRandom } from '../src/inputs/random.js';
import { rewrite, type RewriteOptions } from '../src/rewrite.js';
import { DIST, runScript } from './loader/helpers.js';
import { project, versions } from './loader/other-versions.js';
import { encodeModel, scratch, type Scratch } from './validation/helpers/tiny-model.js';

const [IN, HIDDEN] = [72, 96];
const FORMS: Readonly<Record<string, RewriteOptions>> = {
  'low rank': { structure: 'low-rank' },
  BLAST: { structure: 'blast', blocks: 4 },
  Monarch: { structure: 'monarch', blocks: 4 },
  'BLAST of float16 factors': { structure: 'blast', blocks: 4, factorType: 'float16' },
  'BLAST of int8 factors': { structure: 'blast', blocks: 4, factorType: 'int8' },
  'BLAST computed in int8': { structure: 'blast', blocks: 4, factorType: 'int8', compute: 'int8' },
};

/** x → MatMul, bias, ReLU → MatMul, bias → y */
function network(): Uint8Array {
  const random = seededRandom(7);
  const weight = (name: string, dims: number[]) => ({
    name,
    dims,
    data: Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => (random() - 0.5) / 4),
  });
  return encodeModel({
    inputs: [{ name: 'x', shape: ['batch', IN] }],
    outputs: [{ name: 'y', shape: ['batch', IN] }],
    nodes: [
      { op: 'MatMul', inputs: ['x', 'W1'], outputs: ['a'] },
      { op: 'Add', inputs: ['a', 'B1'], outputs: ['b'] },
      { op: 'Relu', inputs: ['b'], outputs: ['c'] },
      { op: 'MatMul', inputs: ['c', 'W2'], outputs: ['d'] },
      { op: 'Add', inputs: ['d', 'B2'], outputs: ['y'] },
    ],
    weights: [
      weight('W1', [IN, HIDDEN]),
      weight('B1', [HIDDEN]),
      weight('W2', [HIDDEN, IN]),
      weight('B2', [IN]),
    ],
  });
}

/** Prints the version and the outputs of a model with the plugin and without. */
const script = (model: string) => `
  import * as ort from 'onnxruntime-node';
  const { register, unregister } = await import(${JSON.stringify(join(DIST, 'src', 'loader', 'register.js'))});
  const X = Float32Array.from({ length: 5 * ${IN} }, (_, i) => Math.sin(i));
  const run = async () => {
    const session = await ort.InferenceSession.create(${JSON.stringify(model)});
    const { y } = await session.run({ x: new ort.Tensor('float32', X, [5, ${IN}]) });
    return [...y.data];
  };
  const functions = await run();
  const { runtimes } = register();
  const kernels = await run();
  unregister();
  console.log(JSON.stringify({ version: runtimes[0].version, functions, kernels }));`;

interface Outputs {
  readonly version: string;
  readonly functions: number[];
  readonly kernels: number[];
}

describe('rewritten models under other versions of onnxruntime-node', () => {
  if (versions.length === 0) it('are tested where BLOCKRANK_TEST_ORT lists them');
  let files: Scratch;
  before(async () => void (files = await scratch()));
  after(() => files.remove());

  for (const [form, options] of Object.entries(FORMS))
    for (const version of versions)
      it(`run as ${form} with ${version}, with the plugin and without`, async function () {
        this.timeout(300_000);
        const source = await files.write('model.onnx', network());
        const target = join(files.folder, 'rewritten.onnx');
        await rewrite(source, target, { ...options, keepDenseIfSlower: false, overwrite: true });
        const outputs = (await runScript(script(target), { folder: project(version) })) as Outputs;
        expect(outputs.version).to.equal(version);
        const size = Math.max(...outputs.functions.map(Math.abs));
        expect(size).to.be.greaterThan(0.1);
        // The functions compute in floats what the kernels compute in int8.
        const tolerance = options.compute === 'int8' ? 0.05 : 1e-4;
        outputs.kernels.forEach((value, i) =>
          expect(Math.abs(value - outputs.functions[i])).to.be.at.most(tolerance * size),
        );
      });
});
