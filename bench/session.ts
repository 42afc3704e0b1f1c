// npm run bench:session [-- --model FILE]: what the plugin costs when a session is created, and what rewriting costs in memory.
//
// Each measurement is a process of its own, since loading onnxruntime-node, register() and the peak of memory happen once in one.
// Dense and rewritten take turns; times are medians.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { findDemoAssets } from '../src/demo/assets.js';
import { inspectModel } from '../src/index.js';

const ROUNDS = 9;
const INDEX = new URL('../src/index.js', import.meta.url).href;
const run = promisify(execFile);

/** Runs a module's text in a fresh process and returns what it prints as JSON. */
async function fresh<T>(code: string): Promise<T> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code]);
  return JSON.parse(stdout) as T;
}

const creation = (path: string, plugin: boolean) => `
  const { register } = await import(${JSON.stringify(INDEX)});
  const ort = (await import('onnxruntime-node')).default;
  const start = performance.now();
  ${plugin ? 'register();' : ''}
  await ort.InferenceSession.create(${JSON.stringify(path)});
  console.log(performance.now() - start);`;

const rewriting = (source: string, target: string, structure: string) => `
  const { rewrite } = await import(${JSON.stringify(INDEX)});
  await rewrite(${JSON.stringify(source)}, ${JSON.stringify(target)}, { structure: ${JSON.stringify(structure)}, keep: 0.5, keepDenseIfSlower: false });
  console.log(process.resourceUsage().maxRSS / 1024);`;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

const { values } = parseArgs({ options: { model: { type: 'string' } } });
const model = values.model ?? (await findDemoAssets()).model;
const folder = await mkdtemp(join(tmpdir(), 'blockrank-bench-'));
try {
  const { layers } = await inspectModel(model);
  const largest = Math.max(...layers.map(({ bytes }) => bytes)) / 2 ** 20;
  for (const structure of ['low-rank', 'monarch', 'blast']) {
    const target = join(folder, `${structure}.onnx`);
    const peak = await fresh<number>(rewriting(model, target, structure));
    const times: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      times[0].push(await fresh<number>(creation(model, false)));
      times[1].push(await fresh<number>(creation(target, true)));
    }
    const [dense, rewritten] = times.map(median);
    process.stdout.write(
      `${structure}: session ${dense.toFixed(0)} ms dense, ${rewritten.toFixed(0)} ms with register() and plugin, ratio ${(rewritten / dense).toFixed(2)}; ` +
        `rewrite peaks at ${peak.toFixed(0)} MiB, bound 4 × ${largest.toFixed(1)} + 300 = ${(4 * largest + 300).toFixed(0)} MiB\n`,
    );
  }
} finally {
  await rm(folder, { recursive: true });
}
