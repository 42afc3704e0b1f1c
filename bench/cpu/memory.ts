// Resident memory that a session adds to its process: a stack of layers in each form, a process each.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchLayer } from '../layers.js';
import { layerModel, type Variant, variantBytes } from './models.js';

const run = promisify(execFile);
const COPIES = 24;
const FORMS: readonly Variant[] = [
  'dense',
  'blast',
  'blast-fp16',
  'blast-int8',
  'blast-compute-bf16',
  'blast-compute-int8',
];

export interface Memory {
  readonly layer: string;
  readonly variant: Variant;
  readonly fileMiB: number;
  readonly residentMiB: number;
  /** The weights' bytes over those of dense, and resident memory over that of the dense session. */
  readonly keptShare: number;
  readonly ratio: number;
}

// A small session first, so that what onnxruntime-node itself takes is not counted.
const program = (small: string, model: string) => `
  const { register } = await import(${JSON.stringify(new URL('../../src/index.js', import.meta.url).href)});
  const ort = (await import('onnxruntime-node')).default;
  register();
  const open = async (path) => {
    const session = await ort.InferenceSession.create(path);
    const size = session.inputMetadata[0].shape[1];
    for (let run = 0; run < 3; run++)
      await session.run({ X: new ort.Tensor('float32', new Float32Array(size), [1, size]) });
    return session;
  };
  const first = await open(${JSON.stringify(small)});
  const before = process.memoryUsage.rss();
  const second = await open(${JSON.stringify(model)});
  console.log(process.memoryUsage.rss() - before);
  await first.release();
  await second.release();`;

export async function measureMemory(layer: BenchLayer): Promise<Memory[]> {
  const folder = await mkdtemp(join(tmpdir(), 'blockrank-bench-'));
  try {
    const small = join(folder, 'small.onnx'),
      path = join(folder, 'model.onnx');
    await writeFile(
      small,
      layerModel({ ...layer, name: 'small', in: 64, out: 64, blocks: 2, rank: 8 }, 'blast', 1),
    );
    const found: Memory[] = [];
    for (const variant of FORMS) {
      const model = layerModel(layer, variant, COPIES);
      await writeFile(path, model);
      const args = ['--input-type=module', '--eval', program(small, path)];
      const { stdout } = await run(process.execPath, args);
      const residentMiB = Number(stdout) / 2 ** 20;
      const dense = found[0]?.residentMiB ?? residentMiB;
      found.push({
        layer: layer.name,
        variant,
        fileMiB: model.length / 2 ** 20,
        residentMiB,
        keptShare: variantBytes(layer, variant) / variantBytes(layer, 'dense'),
        ratio: residentMiB / dense,
      });
    }
    return found;
  } finally {
    await rm(folder, { recursive: true });
  }
}
