// npm run bench:cpu [-- --layers gpt2s --tokens 1,128]: our operators beside what else a user could run, in one process.
//
// Variants of one layer are timed turn by turn and compared as ratios of medians, so that a machine whose speed drifts drifts
// for all. Up to 16 tokens each run goes through enough copies of the layer that weights come from memory.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { formatTable } from '../../src/cli/table.js';
import { doctor } from '../../src/doctor.js';
import { register, unregister } from '../../src/loader/register.js';
import { type BenchLayer, LAYERS } from '../layers.js';
import { layerModel, VARIANTS, type Variant, variantBytes } from './models.js';

const OUT_OF_CACHE = 96 << 20;
const ROUNDS = 15;
const LEAST_SECONDS = 0.02;

interface Cell {
  readonly layer: string;
  readonly tokens: number;
  readonly milliseconds: Record<Variant, number>;
  /** 2·in·out over BLAST's operations a token; bytes likewise. */
  readonly flopRatio: number;
  readonly byteRatio: number;
}

async function openVariant(layer: BenchLayer, variant: Variant, copies: number, threads: number) {
  // The portable function is inlined only where the operator is unknown.
  if (variant === 'blast-plain') unregister();
  else register();
  return ort.InferenceSession.create(layerModel(layer, variant, copies), {
    intraOpNumThreads: threads,
    // A session's idle threads would otherwise spin into the turn of the next one.
    extra: { session: { force_spinning_stop: '1' } },
  });
}

async function timeRound(session: ort.InferenceSession, X: ort.Tensor): Promise<number> {
  const start = performance.now();
  let runs = 0;
  do {
    await session.run({ X });
    runs++;
  } while (performance.now() - start < LEAST_SECONDS * 1000);
  return (performance.now() - start) / runs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

async function measure(layer: BenchLayer, tokenCounts: readonly number[], threads: number): Promise<Cell[]> {
  const { in: n, out: m, blocks: b, rank: r } = layer;
  const cells: Cell[] = [];
  for (const [group, many] of [
    [tokenCounts.filter((tokens) => tokens <= 16), true],
    [tokenCounts.filter((tokens) => tokens > 16), false],
  ] as const) {
    if (group.length === 0) continue;
    const copies = (variant: Variant) => (many ? Math.ceil(OUT_OF_CACHE / variantBytes(layer, variant)) : 1);
    const sessions = new Map<Variant, ort.InferenceSession>();
    for (const variant of VARIANTS)
      sessions.set(variant, await openVariant(layer, variant, copies(variant), threads));
    for (const tokens of group) {
      const X = new ort.Tensor(
        'float32',
        Float32Array.from({ length: tokens * n }, (_, i) => Math.sin(i)),
        [tokens, n],
      );
      const times = new Map<Variant, number[]>(VARIANTS.map((variant) => [variant, []]));
      for (let round = -1; round < ROUNDS; round++)
        for (const [variant, session] of sessions) {
          const time = (await timeRound(session, X)) / copies(variant);
          if (round >= 0) times.get(variant)!.push(time);
        }
      const milliseconds = Object.fromEntries(
        [...times].map(([variant, own]) => [variant, median(own)]),
      ) as Record<Variant, number>;
      const flopRatio = (n * m) / (r * (n + m) + b * b * r);
      const byteRatio = variantBytes(layer, 'dense') / variantBytes(layer, 'blast');
      cells.push({ layer: layer.name, tokens, milliseconds, flopRatio, byteRatio });
    }
    for (const session of sessions.values()) await session.release();
  }
  return cells;
}

function report(cells: readonly Cell[]): string {
  const times = (ratio: number) => `${ratio.toFixed(2)}×`;
  const rows = cells.map(({ layer, tokens, milliseconds: t, flopRatio, byteRatio }) => [
    layer,
    String(tokens),
    t.dense.toFixed(3),
    ...(['int8', 'low-rank', 'blast-plain', 'blast'] as const).map((variant) => times(t.dense / t[variant])),
    times(tokens >= 64 ? flopRatio : byteRatio),
  ]);
  const titles = ['layer', 'tokens', 'dense ms', 'int8', 'low rank', 'BLAST plain', 'BLAST', 'bound'];
  return formatTable(
    titles.map((title, i) => ({ title, align: i === 0 ? 'left' : 'right' })),
    rows,
  );
}

const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '' },
    tokens: { type: 'string', default: '1,4,16,64,128,512' },
    threads: { type: 'string', default: String(cpus().length) },
    save: { type: 'string' },
  },
});
const tokenCounts = (values.tokens ?? '').split(',').map(Number);
const cells: Cell[] = [];
for (const layer of LAYERS.filter(({ name }) => name.includes(values.layers ?? ''))) {
  process.stderr.write(`${layer.name}\n`);
  cells.push(...(await measure(layer, tokenCounts, Number(values.threads))));
}
register();
const { node, cpu, library, onnxruntime } = await doctor();
const result = {
  date: new Date().toISOString().slice(0, 10),
  machine: { node, cpu, kernels: library.build, onnxruntime: onnxruntime.version, threads: values.threads },
  command: `npm run bench:cpu -- ${process.argv.slice(2).join(' ')}`.trim(),
  cells,
};
process.stdout.write(
  `speed over ONNX Runtime's fp32 MatMul; bound: bytes (< 64 tokens) or operations of BLAST\n\n${report(cells)}\n`,
);
if (values.save) {
  await mkdir('bench/results', { recursive: true });
  await writeFile(`bench/results/${values.save}`, JSON.stringify(result, null, 1) + '\n');
}
