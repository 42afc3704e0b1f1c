// npm run bench:cpu [-- --layers gpt2s --tokens 1,128 --variants blast,int8 --save cpu.json]: our operators beside what else a
// user could run, in one process.
//
// Variants of one layer are timed turn by turn and compared as ratios of medians, so that a machine whose speed drifts drifts
// for all. What is measured is saved at once, and --parts chooses: micro (micro-kernels against the machine's peak), layers,
// phases (where the engines' cycles go), memory (of sessions), siblings (q, k, v as one operator).
// `node dist/bench/cpu/tables.js FILE` makes the tables of docs/performance.md.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { formatTable } from '../../src/cli/table.js';
import { doctor } from '../../src/doctor.js';
import { register } from '../../src/loader/register.js';
import { LAYERS } from '../layers.js';
import { type Cell, measureLayer } from './cells.js';
import { measureMemory } from './memory.js';
import { VARIANTS, type Variant } from './models.js';
import { buildNative, measureMicros, measurePhases } from './native.js';
import type { Result } from './result.js';
import { measureSiblings } from './siblings.js';

const PHASE_TOKENS = [16, 128];
const MEMORY_LAYER = 'gpt2s.mlp_c_fc';

/** Speed-ups over dense, and of ours how much of what bytes (few tokens) or BLAST's operations allow. */
function report(cells: readonly Cell[], variants: readonly Variant[]): string {
  const others = variants.filter((variant) => variant !== 'dense');
  const rows = cells.map(({ layer, tokens, milliseconds: t, flopRatio, byteRatios }) => [
    layer,
    String(tokens),
    t.dense!.toFixed(3),
    ...others.map((variant) => {
      const ratio = t.dense! / t[variant]!;
      const bound = tokens >= 64 ? flopRatio : byteRatios[variant]!;
      return variant.startsWith('blast')
        ? `${ratio.toFixed(2)} (${Math.round((100 * ratio) / bound)} %)`
        : ratio.toFixed(2);
    }),
    flopRatio.toFixed(2),
  ]);
  const titles = ['layer', 'tokens', 'dense ms', ...others, 'FLOPs'];
  return formatTable(
    titles.map((title, i) => ({ title, align: i === 0 ? 'left' : 'right' })),
    rows,
  );
}

const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: 'layers' },
    layers: { type: 'string', default: '' },
    tokens: { type: 'string', default: '1,4,16,64,128,512' },
    variants: { type: 'string', default: VARIANTS.filter((variant) => variant !== 'none').join() },
    rounds: { type: 'string', default: '15' },
    threads: { type: 'string', default: String(cpus().length) },
    save: { type: 'string' },
  },
});
const list = (text = '') => text.split(',');
const parts = list(values.parts);
const threads = Number(values.threads);
const wanted = list(values.variants);
const variants = VARIANTS.filter((variant) => variant === 'dense' || wanted.includes(variant));
const layers = LAYERS.filter(({ name }) => name.includes(values.layers ?? ''));
register();
const { node, cpu, library, onnxruntime } = await doctor();
const result: Result = {
  date: new Date().toISOString().slice(0, 10),
  machine: { node, cpu, isa: library.build?.isa, onnxruntime: onnxruntime.version, threads },
  command: `npm run bench:cpu -- ${process.argv.slice(2).join(' ')}`.trim(),
  cells: [],
};

/** The whole of what there is so far, under its name only when it is written. */
async function save(): Promise<void> {
  if (values.save === undefined) return;
  const path = `bench/results/${values.save}`;
  await mkdir('bench/results', { recursive: true });
  await writeFile(`${path}.part`, JSON.stringify(result, null, 1) + '\n');
  await rename(`${path}.part`, path);
}

const progress = (text: string) =>
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

if (parts.includes('micro') || parts.includes('phases')) {
  progress('build of the native part');
  await buildNative();
}
if (parts.includes('micro')) {
  result.micro = await measureMicros();
  await save();
}
if (parts.includes('memory')) {
  progress('memory');
  result.memory = await measureMemory(LAYERS.find(({ name }) => name === MEMORY_LAYER)!);
  await save();
}
if (parts.includes('siblings')) {
  progress('siblings');
  result.siblings = await measureSiblings(threads);
  await save();
}
if (parts.includes('phases')) {
  result.phases = [];
  for (const layer of layers) {
    progress(`phases of ${layer.name}`);
    for (const tokens of PHASE_TOKENS) result.phases.push(...(await measurePhases(layer, tokens)));
    await save();
  }
}
if (parts.includes('layers')) {
  const tokens = list(values.tokens).map(Number);
  for (const layer of layers) {
    progress(layer.name);
    for await (const cell of measureLayer(layer, {
      variants,
      tokens,
      rounds: Number(values.rounds),
      threads,
    })) {
      result.cells.push(cell);
      await save();
    }
  }
  process.stdout.write(
    `speed over ONNX Runtime's fp32 MatMul; in brackets of what bytes (< 64 tokens) or operations allow\n\n${report(result.cells, variants)}\n`,
  );
}
if (values.save === undefined)
  for (const part of ['micro', 'memory', 'siblings', 'phases'] as const)
    if (result[part] !== undefined)
      process.stdout.write(`${part}: ${JSON.stringify(result[part], null, 1)}\n`);
